// Limits of daemon/http_client. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kHttpAnswerBytesMax = 4 * 1024 * 1024;  // A page of a bucket's list.
inline constexpr std::size_t kHttpAnswerFieldsMax = 64;
inline constexpr std::chrono::milliseconds kHttpConnectTimeout{5'000};
inline constexpr std::chrono::seconds kHttpStall{30};  // Without a kilobyte a second.
inline constexpr std::chrono::milliseconds kHttpBackoffBase{200};
inline constexpr std::chrono::milliseconds kHttpBackoffMax{10'000};

}  // namespace export_worker::limits
