// Runs a harness over kept inputs, without a fuzzer: replay_http tests/fuzz/corpus/http
//
// Each input is named before it runs, so that the last line of the output names the one that
// crashes or hangs. Fails when a directory holds no input: a corpus that was moved must not pass as
// tested.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

// The files at `path`, which is a file or a directory, sorted by name.
std::vector<fs::path> files_at(const fs::path& path) {
    if (fs::is_regular_file(path)) return {path};
    std::vector<fs::path> out;
    if (!fs::is_directory(path)) return out;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
        if (entry.is_regular_file()) out.push_back(entry.path());
    }
    std::ranges::sort(out);
    return out;
}

void run(const fs::path& path) {
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    // A copy of exactly this size: a sanitizer sees every read behind its end.
    const std::vector<unsigned char> data(bytes.begin(), bytes.end());
    (void)LLVMFuzzerTestOneInput(data.data(), data.size());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s FILE_OR_DIRECTORY...\n", argv[0]);
        return 64;
    }
    std::size_t count = 0;
    for (int index = 1; index < argc; ++index) {
        const std::vector<fs::path> files = files_at(argv[index]);
        if (files.empty()) {
            std::fprintf(stderr, "%s: no inputs found in %s\n", argv[0], argv[index]);
            return 1;
        }
        for (const fs::path& file : files) run(file);
        count += files.size();
    }
    std::printf("%zu inputs\n", count);
    return 0;
}
