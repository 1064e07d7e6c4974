#include "base/crypto/sha256.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <atomic>

#include "base/assert.hpp"

namespace export_worker::crypto {
namespace {

// A digest context and a MAC context, ready to be started again and again.
struct Contexts {
    EVP_MD_CTX* digest = EVP_MD_CTX_new();
    EVP_MAC_CTX* mac = nullptr;

    Contexts() {
        EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        EW_ASSERT(hmac != nullptr && digest != nullptr);
        mac = EVP_MAC_CTX_new(hmac);
        EVP_MAC_free(hmac);  // The context keeps its own reference.
        char name[] = "SHA256";
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
            OSSL_PARAM_construct_end()};
        EW_ASSERT(EVP_MAC_CTX_set_params(mac, parameters) == 1);
    }
    Contexts(const Contexts&) = delete;
    Contexts& operator=(const Contexts&) = delete;
    ~Contexts() {
        EVP_MD_CTX_free(digest);
        EVP_MAC_CTX_free(mac);
    }
};

// Contexts kept from call to call, one slot per thread while there are no more threads than slots.
//
// Not thread_local: this code is also linked into plugins, and a thread-local destructor keeps a
// plugin's image mapped for ever after the plugin was unloaded. The pool belongs to the image and
// goes with it.
class ContextPool {
public:
    ContextPool() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)) {
        EW_ASSERT(algorithm_ != nullptr);
    }
    ContextPool(const ContextPool&) = delete;
    ContextPool& operator=(const ContextPool&) = delete;
    ~ContextPool() {
        for (Slot& slot : slots_) delete slot.contexts.exchange(nullptr);
        EVP_MD_free(algorithm_);
    }

    // Fetched once: EVP_sha256() would make every init search the providers.
    [[nodiscard]] const EVP_MD* algorithm() const { return algorithm_; }

    std::unique_ptr<Contexts> take() {
        std::unique_ptr<Contexts> kept(own_slot().contexts.exchange(nullptr));
        return kept ? std::move(kept) : std::make_unique<Contexts>();
    }
    void put_back(std::unique_ptr<Contexts> contexts) {
        delete own_slot().contexts.exchange(contexts.release());
    }

private:
    static constexpr std::size_t kSlots = 64;
    struct alignas(64) Slot {
        std::atomic<Contexts*> contexts{nullptr};
    };

    Slot& own_slot() {
        static std::atomic<unsigned> threads{0};
        thread_local const unsigned number = threads.fetch_add(1, std::memory_order_relaxed);
        return slots_[number % kSlots];
    }

    EVP_MD* const algorithm_;
    std::array<Slot, kSlots> slots_;
};

ContextPool& pool() {
    static ContextPool contexts;
    return contexts;
}

class BorrowedContexts {
public:
    // The slot owns what is put back, which the analyzer does not see through the exchange.
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks)
    BorrowedContexts() : contexts_(pool().take()) {}
    BorrowedContexts(const BorrowedContexts&) = delete;
    BorrowedContexts& operator=(const BorrowedContexts&) = delete;
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks)
    ~BorrowedContexts() { pool().put_back(std::move(contexts_)); }
    Contexts* operator->() const { return contexts_.get(); }

private:
    std::unique_ptr<Contexts> contexts_;
};

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Sha256Digest sha256(std::string_view bytes) {
    Sha256Digest out;
    const BorrowedContexts contexts;
    EVP_MD_CTX* const context = contexts->digest;
    EW_ASSERT(EVP_DigestInit_ex2(context, pool().algorithm(), nullptr) == 1);
    EW_ASSERT(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
    EW_ASSERT(EVP_DigestFinal_ex(context, out.data(), nullptr) == 1);
    return out;
}

Sha256Digest hmac_sha256(std::string_view key, std::string_view bytes) {
    Sha256Digest out;
    const BorrowedContexts contexts;
    EVP_MAC_CTX* const context = contexts->mac;
    // A null key pointer would mean "the last key again"; an empty key is a key.
    static const unsigned char kNothing = 0;
    const unsigned char* key_bytes = key.empty() ? &kNothing : bytes_of(key);
    std::size_t written = 0;
    EW_ASSERT(EVP_MAC_init(context, key_bytes, key.size(), nullptr) == 1);
    EW_ASSERT(EVP_MAC_update(context, bytes_of(bytes), bytes.size()) == 1);
    EW_ASSERT(EVP_MAC_final(context, out.data(), &written, out.size()) == 1 &&
              written == out.size());
    return out;
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept {
    EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    EW_ASSERT(context_ != nullptr &&
              EVP_DigestInit_ex2(context_.get(), pool().algorithm(), nullptr) == 1);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) {
    EW_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::finish() {
    Sha256Digest out;
    EW_ASSERT(EVP_DigestFinal_ex(context_.get(), out.data(), nullptr) == 1);
    return out;
}

}  // namespace export_worker::crypto
