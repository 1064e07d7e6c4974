// Limits that several folders keep to which otherwise know nothing of each other. What one folder
// owns is in its own limits.hpp; tests/limits/relations.cpp has what must hold between them.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kReplyBytesMax = 4 * 1024 * 1024;  // Larger: plugin_fault or internal.
// What the transport takes in at all. Above the request limit, so that "too large" gets a real
// answer.
inline constexpr std::size_t kTransportMessageBytesMax = kReplyBytesMax + 64 * 1024;
inline constexpr std::size_t kCredentialBytesMax = 8 * 1024;  // One of authorization, session.

inline constexpr std::size_t kJobIdBytesMax = 128;
inline constexpr std::size_t kOrganizationIdBytesMax = 64;
inline constexpr std::size_t kIdempotencyKeyBytesMax = 255;

inline constexpr std::size_t kProductLineBytesMax = 512 * 1024;  // One product as JSON.
inline constexpr std::size_t kImportErrorsShownMax = 100;

inline constexpr std::size_t kFileNameBytesMax = 255;
inline constexpr std::size_t kFileUrlBytesMax = 2048;

inline constexpr std::size_t kConfigFileBytesMax = 1024 * 1024;
inline constexpr std::size_t kSecretFileBytesMax = 64 * 1024;

inline constexpr std::chrono::milliseconds kAuthFilesInterval{1'000};  // Looked at this often.

inline constexpr std::size_t kTcpConnectionsDefault = 256;  // More are closed.

}  // namespace export_worker::limits
