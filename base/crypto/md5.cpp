#include "base/crypto/md5.hpp"

#include <openssl/evp.h>

namespace export_worker::crypto {

std::optional<Md5Digest> md5(std::string_view bytes) {
    Md5Digest out{};
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, "MD5", nullptr, bytes.data(), bytes.size(), out.data(), &size) != 1 ||
        size != out.size())
        return std::nullopt;
    return out;
}

}  // namespace export_worker::crypto
