#include "daemon/format/compressor.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <string>

#include "daemon/model/limits.hpp"

namespace export_worker::format {
namespace {

constexpr int kGzipLevel = 6;
constexpr int kZstdLevel = 3;
constexpr int kGzipWindowBits =
    15 + 16;  // 16: a gzip header and trailer around the deflate stream.
constexpr int kGzipMemoryLevel = 8;

class PassThrough final : public Compressor {
public:
    explicit PassThrough(ByteSink& next) : next_(next) {}
    Result<void> write(std::string_view bytes) override { return next_.write(bytes); }
    Result<void> finish() override { return {}; }

private:
    ByteSink& next_;
};

class Gzip final : public Compressor {
public:
    explicit Gzip(ByteSink& next) : next_(next), out_(limits::kFileWriteBufferBytes, '\0') {}
    ~Gzip() override {
        if (open_) deflateEnd(&stream_);
    }
    Gzip(const Gzip&) = delete;
    Gzip& operator=(const Gzip&) = delete;

    Result<void> open() {
        if (deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kGzipWindowBits, kGzipMemoryLevel,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            return fail(ErrorCode::kResourceExhausted, "gzip: out of memory");
        open_ = true;
        return {};
    }
    Result<void> write(std::string_view bytes) override {
        while (!bytes.empty()) {
            const std::size_t piece =
                std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
            // zlib does not write through next_in; its type is older than const.
            stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
            stream_.avail_in = static_cast<uInt>(piece);
            while (stream_.avail_in > 0) EW_CHECK(step(Z_NO_FLUSH));
            bytes.remove_prefix(piece);
        }
        return {};
    }
    Result<void> finish() override {
        while (!ended_) EW_CHECK(step(Z_FINISH));
        return {};
    }

private:
    Result<void> step(int flush) {
        stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
        stream_.avail_out = static_cast<uInt>(out_.size());
        const int status = deflate(&stream_, flush);
        if (status == Z_STREAM_ERROR) return fail(ErrorCode::kInternal, "gzip: wrong state");
        ended_ = status == Z_STREAM_END;
        return next_.write(std::string_view(out_).substr(0, out_.size() - stream_.avail_out));
    }

    ByteSink& next_;
    z_stream stream_{};
    bool open_ = false;
    bool ended_ = false;
    std::string out_;
};

class Zstd final : public Compressor {
public:
    explicit Zstd(ByteSink& next)
        : next_(next),
          context_(ZSTD_createCCtx(), ZSTD_freeCCtx),
          out_(ZSTD_CStreamOutSize(), '\0') {}

    Result<void> open() {
        if (context_ == nullptr) return fail(ErrorCode::kResourceExhausted, "zstd: out of memory");
        ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kZstdLevel);
        ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
        return {};
    }
    Result<void> write(std::string_view bytes) override {
        ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
        while (in.pos < in.size) EW_CHECK(step(in, ZSTD_e_continue));
        return {};
    }
    Result<void> finish() override {
        ZSTD_inBuffer in{nullptr, 0, 0};
        do {
            EW_CHECK(step(in, ZSTD_e_end));
        } while (left_ != 0);
        return {};
    }

private:
    Result<void> step(ZSTD_inBuffer& in, ZSTD_EndDirective directive) {
        ZSTD_outBuffer out{out_.data(), out_.size(), 0};
        left_ = ZSTD_compressStream2(context_.get(), &out, &in, directive);
        if (ZSTD_isError(left_))
            return fail(ErrorCode::kInternal, std::string("zstd: ") + ZSTD_getErrorName(left_));
        return next_.write(std::string_view(out_).substr(0, out.pos));
    }

    ByteSink& next_;
    std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context_;
    std::string out_;
    std::size_t left_ = 0;
};

template <typename Kind>
Result<std::unique_ptr<Compressor>> opened(ByteSink& next) {
    auto out = std::make_unique<Kind>(next);
    EW_CHECK(out->open());
    return std::unique_ptr<Compressor>(std::move(out));
}

}  // namespace

Result<std::unique_ptr<Compressor>> make_compressor(model::Compression compression,
                                                    ByteSink& next) {
    switch (compression) {
        case model::Compression::kGzip: return opened<Gzip>(next);
        case model::Compression::kZstd: return opened<Zstd>(next);
        case model::Compression::kNone: break;
    }
    return std::unique_ptr<Compressor>(std::make_unique<PassThrough>(next));
}

}  // namespace export_worker::format
