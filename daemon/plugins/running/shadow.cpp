#include "daemon/plugins/running/shadow.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {
namespace {

using nlohmann::json;

// The members of an answer, by JSON pointer.
std::map<std::string, json> members_of(const ShadowAnswer& answer) {
    std::map<std::string, json> out;
    if (!answer.error.empty()) {
        out.emplace("(error)", answer.error);
        return out;
    }
    const json result = parse_msgpack(answer.result);
    if (!result.is_object() || result.empty()) return out;
    const json flat = result.flatten();
    for (const auto& [pointer, value] : flat.items()) out.emplace(pointer, value);
    return out;
}

}  // namespace

ShadowAnswer::ShadowAnswer(const ResultWriter& writer)
    : error(writer.has_error ? std::string(message::to_string(writer.error.code)) : ""),
      result(writer.has_error ? "" : writer.result) {}

bool Shadow::take() noexcept {
    std::uint64_t left = left_.load(std::memory_order_relaxed);
    while (left > 0) {
        if (left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
    }
    return false;
}

void Shadow::compare(std::string_view method, const ShadowAnswer& answer, const ShadowAnswer& again,
                     const ShadowAnswer& before) {
    const auto mine = members_of(answer);
    const auto twice = members_of(again);
    const auto others = members_of(before);
    std::map<std::string, bool> all;  // Every member that any of them has.
    for (const auto* members : {&mine, &twice, &others}) {
        for (const auto& member : *members) all.emplace(member.first, true);
    }
    const auto at = [](const auto& members, const std::string& pointer) {
        const auto found = members.find(pointer);
        return found == members.end() ? json(json::value_t::discarded) : found->second;
    };
    const auto same = [](const json& left, const json& right) {
        return left.is_discarded() ? right.is_discarded() : left == right;
    };
    const std::lock_guard lock(mutex_);
    ++report_.compared;
    bool different = false;
    for (const auto& [pointer, present] : all) {
        const json value = at(mine, pointer);
        if (!same(value, at(twice, pointer)) || same(value, at(others, pointer))) continue;
        different = true;
        const std::string name =
            printable(std::string(method) + " " + pointer, limits::kShadowMemberBytesMax);
        if (report_.members.contains(name) || report_.members.size() < limits::kShadowMembersMax)
            ++report_.members[name];
    }
    if (different) ++report_.different;
}

std::string to_text(const ShadowReport& report) {
    std::string out = "answers " + std::to_string(report.different) + " of " +
                      std::to_string(report.compared) +
                      " requests otherwise than the one before it:";
    for (const auto& [member, count] : report.members)
        out += " " + member + " (" + std::to_string(count) + ")";
    return out;
}

ShadowReport Shadow::read() const {
    const std::lock_guard lock(mutex_);
    return report_;
}

}  // namespace export_worker::plugins
