#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "base/json.hpp"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/plugins/inspection/elf_file.hpp"
#include "daemon/plugins/inspection/inspection.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

using testing::TempDir;

class PluginHostTest : public ::testing::Test {
protected:
    std::string refusal(const std::string& file, const std::string& name = "") {
        const auto loaded = host_->load(name, file, {});
        EXPECT_FALSE(loaded) << file;
        return loaded ? "" : loaded.error().message;
    }
    // One request; the outcome's code, or "ok".
    std::string call(const std::string& method, const std::string& params = "\x80") {
        const Pin pin = host_->routing().pin(method, "t", clock_.steady(), slot_);
        Generation* const generation = pin.route().generation;
        if (generation == nullptr) return "no such method";
        message::Request request;
        request.id = "t";
        request.method = method;
        request.params = params;
        call_.reset();
        generation->handle(request, clock_.steady(), 0, slot_.number(), call_);
        return call_.writer.has_error ? std::string(to_string(call_.writer.error.code)) : "ok";
    }

    std::string fixture(const std::string& name) { return testing::install_plugin(dir_, name); }

    const TempDir dir_;
    testing::FakeClock clock_;
    testing::Identity identity_{dir_ / "auth.db", clock_};
    std::unique_ptr<jobs::JobStore> jobs_ = std::move(*jobs::open_sqlite_job_store(
        dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
    std::unique_ptr<PluginHost> host_ =
        std::move(*PluginHost::open(testing::host_options(dir_, {&clock_,
                                                                 &identity_.authenticator,
                                                                 &jobs_->reader(),
                                                                 &jobs_->organizations(),
                                                                 nullptr,
                                                                 {}})));
    PinSlot& slot_ = host_->routing().take_slot("test");
    PluginCall call_;
};

TEST_F(PluginHostTest, LoadsTheSmallestPluginInBothLanguages) {
    const auto loaded = host_->load("minimal", fixture("minimal_c"), {});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->version, "1.2.3");
    EXPECT_EQ(loaded->generation, 1U);
    EXPECT_EQ(loaded->build_id.size(), 40U);
    EXPECT_EQ(call("minimal.echo", "\x81\xa1k\x07"), "ok");
    EXPECT_EQ(call_.writer.result, "\x81\xa1k\x07");
    EXPECT_EQ(host_->list()[0].handled, 1U);
    const TempDir other_dir;
    auto other = PluginHost::open(testing::host_options(other_dir, {&clock_,
                                                                    &identity_.authenticator,
                                                                    &jobs_->reader(),
                                                                    &jobs_->organizations(),
                                                                    nullptr,
                                                                    {}}));
    EXPECT_TRUE((*other)->load("", fixture("minimal_cpp"), {}));
}

TEST_F(PluginHostTest, LoadsOnlyAPrivateCopy) {
    ASSERT_TRUE(host_->load("", fixture("minimal_c"), {}));
    std::vector<std::string> staged;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "plugins/live"))
        staged.push_back(entry.path().string());
    ASSERT_EQ(staged.size(), 1U);
    struct stat info {};
    ASSERT_EQ(::stat(staged[0].c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0500U);
    const std::string maps = testing::read_text("/proc/self/maps");
    EXPECT_NE(maps.find(staged[0]), std::string::npos);
    EXPECT_EQ(maps.find(fixture("minimal_c")), std::string::npos);
}

TEST_F(PluginHostTest, OverwritingTheSourceDoesNotTouchWhatRuns) {
    const std::string source = dir_ / "source.so";
    std::filesystem::copy_file(fixture("minimal_c"), source);
    ASSERT_TRUE(host_->load("", source, {}));
    std::ofstream(source, std::ios::trunc) << "gone";
    EXPECT_EQ(call("minimal.echo"), "ok");
}

TEST_F(PluginHostTest, RefusesFilesThatAreNoPlugin) {
    EXPECT_NE(refusal(dir_ / "missing.so").find("nothing at"), std::string::npos);
    EXPECT_NE(refusal(dir_.write("empty.so", "")).find("is empty"), std::string::npos);
    EXPECT_NE(refusal(dir_.write("text.so", "#!/bin/sh\n")).find("ELF magic"), std::string::npos);
    EXPECT_NE(refusal(dir_.path()).find("regular file"), std::string::npos);
    const std::string whole = testing::read_text(fixture("minimal_c"));
    for (const std::size_t size :
         {std::size_t{5}, std::size_t{63}, std::size_t{200}, whole.size() / 2, whole.size() - 1}) {
        EXPECT_NE(refusal(dir_.write("half.so", whole.substr(0, size))).find("ends early"),
                  std::string::npos)
            << size;
    }
}

TEST_F(PluginHostTest, RefusesForeignElfFiles) {
    const std::string whole = testing::read_text(fixture("minimal_c"));
    const auto patched = [&](std::size_t at, char value) {
        std::string bytes = whole;
        bytes[at] = value;
        return dir_.write("patched.so", bytes);
    };
    EXPECT_NE(refusal(patched(4, 1)).find("64-bit"), std::string::npos);
    EXPECT_NE(refusal(patched(18, 40)).find("ELF machine 40"), std::string::npos);
    EXPECT_NE(refusal(patched(16, 2)).find("shared object"), std::string::npos);
    EXPECT_NE(refusal(fixture("broken_no_note")).find("no plugin of ours"), std::string::npos);
    EXPECT_NE(refusal(fixture("broken_no_build_id")).find("--build-id"), std::string::npos);
}

TEST_F(PluginHostTest, RefusesEveryBrokenContractWithExpectedFoundAndHint) {
    const std::vector<std::pair<std::string, std::string>> cases {
        {"other_major", "found major 99; rebuild broken 1.0.0"},
            {"needs_newer_host", "needs minor 7"}, {"name_differs", "found brokem 1.0.0"},
            {"short_descriptor", "found 16"}, {"missing_handle", "null pointer for handle"},
            {"null_descriptor", "wants a newer host"}, {"no_entry", "mark it EW_EXPORT"},
            {"create_fails", "no such colour"}, {"create_throws", "an exception: thrown by create"},
            {"create_throws_int", "an exception that is no std::exception"},
            {"signal_handler", "signals belong to the daemon"},
#if defined(__x86_64__)
            {"create_fp_mode", "state in create(); found floating-point mode was"},
#endif
#if !defined(EXPORT_WORKER_SANITIZED)
            {"unique", "compile with -fno-gnu-unique"},
#endif
            {"self_test_fails", "the oracle is silent"}, {
            "describes_nothing", "no method"
        }
    };
    for (const auto& [defect, text] : cases) {
        const std::string message = refusal(fixture("broken_" + defect));
        EXPECT_NE(message.find(text), std::string::npos) << defect << ": " << message;
        EXPECT_NE(message.find("expected"), std::string::npos) << message;
    }
    EXPECT_TRUE(host_->list().empty());
    EXPECT_NE(refusal(fixture("minimal_c"), "download_url").find("calls itself minimal"),
              std::string::npos);
}

// The file was judged by its bytes; what the loader makes of it counts.
TEST_F(PluginHostTest, AnImageWithoutAnEntryIsRefused) {
    Generation::Setup setup;
    setup.path = fixture("broken_no_entry");
    setup.manifest.name = "broken";
    setup.manifest.version = "1.0.0";
    setup.manifest.build_id = find_build_id(read_elf(testing::read_text(setup.path))->notes);
    const auto refused = Generation::map(std::move(setup));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "descriptor");
    EXPECT_EQ(refused.error().hint, "mark it EW_EXPORT and declare it extern \"C\"");
}

TEST_F(PluginHostTest, NotesAreBounded) {
    std::string bytes = testing::read_text(fixture("minimal_c"));
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    for (std::size_t index = 0; index < header.e_phnum; ++index) {
        const std::size_t at = header.e_phoff + index * sizeof(Elf64_Phdr);
        Elf64_Phdr segment;
        std::memcpy(&segment, bytes.data() + at, sizeof segment);
        if (segment.p_type != PT_NOTE) continue;
        segment.p_offset = 0;
        segment.p_filesz = segment.p_memsz = 4097;
        std::memcpy(bytes.data() + at, &segment, sizeof segment);
    }
    const auto refused = inspect(bytes);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "not_our_plugin");
    EXPECT_EQ(refused.error().expected, "notes of at most 4096 bytes");
}

TEST_F(PluginHostTest, RefusesFilesOthersCouldHaveChanged) {
    const std::string source = dir_ / "p.so";
    std::filesystem::copy_file(fixture("minimal_c"), source);
    std::filesystem::permissions(source, std::filesystem::perms(0775));
    EXPECT_NE(refusal(source).find("writable by group or others"), std::string::npos);
    std::filesystem::permissions(source, std::filesystem::perms(0755));
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0777));
    EXPECT_NE(refusal(source).find("writable by group or others"), std::string::npos);
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0700));
    std::filesystem::create_symlink(source, dir_ / "link.so");
    EXPECT_NE(refusal(dir_ / "link.so").find("symbolic link"), std::string::npos);
}

TEST_F(PluginHostTest, DamagedFilesAreJudgedWithoutReadingOutside) {
    const std::string whole = testing::read_text(fixture("minimal_c"));
    ASSERT_TRUE(inspect(whole));
    int refused = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const int flip : {0xff, 0x80, 0x01}) {
            std::string bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ flip);
            refused += inspect(bytes) ? 0 : 1;
        }
    }
    for (std::size_t size = 0; size < whole.size(); size += 13) {
        const auto cut = inspect(std::string(whole, 0, size));
        ASSERT_FALSE(cut) << size;
        EXPECT_EQ(cut.error().code, "not_elf");
    }
    EXPECT_GT(refused, 100);
}

TEST_F(PluginHostTest, AnotherImageThanTheOneThatWasJudgedIsRefused) {
    // What the loader does for a path it has seen before: the old image, whatever the file holds
    // now.
    const std::string path = fixture("minimal_c");
    Generation::Setup setup;
    setup.path = path;
    setup.manifest = inspect(testing::read_text(path))->manifest;
    const auto first = Generation::map(setup);
    ASSERT_TRUE(first);
    std::filesystem::rename(fixture("minimal_cpp"), path);
    setup.manifest = inspect(testing::read_text(path))->manifest;
    const auto stale = Generation::map(setup);
    ASSERT_FALSE(stale);
    EXPECT_EQ(stale.error().code, "stale_image");
}

TEST_F(PluginHostTest, RefusesASecondPluginOfTheSameName) {
    ASSERT_TRUE(host_->load("", fixture("minimal_c"), {}));
    EXPECT_NE(refusal(fixture("minimal_cpp")).find("minimal is already loaded"), std::string::npos);
}

TEST_F(PluginHostTest, MisbehaviourCostsOneReply) {
    ASSERT_TRUE(host_->load("", fixture("misbehaving"), {}));
    for (const char* method : {"bad.throw", "bad.throw_int", "bad.throw_null", "bad.nothing",
                               "bad.both", "bad.twice", "bad.garbage", "bad.list", "bad.oversize",
                               "bad.status", "bad.code", "bad.fault", "bad.draining", "bad.null"}) {
        EXPECT_EQ(call(method), "plugin_fault") << method;
        EXPECT_EQ(call_.writer.error.message.find("thrown across"), std::string::npos);
        EXPECT_EQ(call("bad.good"), "ok");
    }
    EXPECT_EQ(host_->list()[0].faults, 14U);
}

TEST_F(PluginHostTest, ADamagedHistoryIsNamedWithTheWayOut) {
    const TempDir dir;
    dir.write("plugins.db", std::string(8192, 'x'));
    const auto opened = PluginHost::open(testing::host_options(dir, {&clock_,
                                                                     &identity_.authenticator,
                                                                     &jobs_->reader(),
                                                                     &jobs_->organizations(),
                                                                     nullptr,
                                                                     {}}));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
    EXPECT_TRUE(opened.error().message.starts_with(dir / "plugins.db")) << opened.error().message;
    EXPECT_NE(opened.error().message.find("restore it from a backup"), std::string::npos);
}

TEST_F(PluginHostTest, AnEmptiedHistoryIsAnAlarm) {
    ASSERT_TRUE(host_->load("minimal", fixture("minimal_c"), {}));
    host_.reset();
    for (const char* ending : {"", "-wal", "-shm"})
        std::filesystem::remove(dir_ / (std::string("plugins.db") + ending));
    dir_.write("plugins.db", "");
    host_ = std::move(*PluginHost::open(testing::host_options(dir_, {&clock_,
                                                                     &identity_.authenticator,
                                                                     &jobs_->reader(),
                                                                     &jobs_->organizations(),
                                                                     nullptr,
                                                                     {}})));
    ASSERT_EQ(host_->alarms().size(), 1U);
    EXPECT_TRUE(host_->alarms()[0].cause.starts_with("plugins.db is empty, although"));
}

}  // namespace
}  // namespace export_worker::plugins
