// Members of an ABI struct that a plugin made: read and written only within its struct_bytes, since
// the plugin may have been built against shorter or longer structs (protocol/plugin_abi/types.h).
//
// [any-thread]
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace export_worker::plugins {

// The first two members, which every such struct has. A smaller struct_bytes was never set.
inline constexpr std::uint32_t kAbiHeadBytes = 8;

template <typename Struct, typename Member>
[[nodiscard]] bool has_member(const Struct& made, Member Struct::*member) {
    const auto* const begin = reinterpret_cast<const char*>(&made);
    const auto* const end = reinterpret_cast<const char*>(&(made.*member)) + sizeof(Member);
    return static_cast<std::size_t>(end - begin) <= made.struct_bytes;
}

// `missing` when the struct ends before the member.
template <typename Struct, typename Member>
[[nodiscard]] Member member_or(const Struct& made, Member Struct::*member,
                               std::type_identity_t<Member> missing) {
    return has_member(made, member) ? made.*member : missing;
}

// Leaves everything past struct_bytes as it is.
template <typename Struct, typename Member>
void set_member(Struct& made, Member Struct::*member, std::type_identity_t<Member> value) {
    if (has_member(made, member)) made.*member = value;
}

}  // namespace export_worker::plugins
