#include "signing/canonical_query.hpp"

#include <algorithm>
#include <numeric>

#include "signing/percent_encoding.hpp"

namespace export_worker::signing {

CanonicalQuery::CanonicalQuery(std::string& out) : out_(out), begin_(out.size()) {
    parameters_.reserve(16);
}

void CanonicalQuery::start() {
    if (!parameters_.empty()) out_ += '&';
    parameters_.push_back({out_.size(), 0});
}

void CanonicalQuery::add(std::string_view name, std::string_view value) {
    start();
    append_percent_encoded(out_, name);
    parameters_.back().equals = out_.size();
    out_ += '=';
    append_percent_encoded(out_, value);
}

std::string& CanonicalQuery::begin(std::string_view prefix, std::string_view name) {
    start();
    out_ += prefix;
    out_ += name;
    parameters_.back().equals = out_.size();
    out_ += '=';
    return out_;
}

std::size_t CanonicalQuery::end(std::size_t index) const {
    return index + 1 < parameters_.size() ? parameters_[index + 1].begin - 1 : out_.size();
}

std::string_view CanonicalQuery::name(std::size_t index) const {
    const Parameter& at = parameters_[index];
    return {out_.data() + at.begin, at.equals - at.begin};
}

std::string_view CanonicalQuery::value(std::size_t index) const {
    const std::size_t from = parameters_[index].equals;
    return {out_.data() + from, end(index) - from};
}

// By name, then value: comparing the joined text would put "a-b=" before "a=".
bool CanonicalQuery::less(std::size_t a, std::size_t b) const {
    const int order = name(a).compare(name(b));
    return order != 0 ? order < 0 : value(a) < value(b);
}

void CanonicalQuery::finish() {
    for (std::size_t index = 1; index < parameters_.size(); ++index) {
        if (less(index, index - 1)) return reorder();
    }
}

void CanonicalQuery::reorder() {
    std::vector<std::size_t> order(parameters_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [this](std::size_t a, std::size_t b) { return less(a, b); });
    std::string sorted;
    sorted.reserve(out_.size() - begin_);
    for (const std::size_t index : order) {
        if (!sorted.empty()) sorted += '&';
        sorted.append(out_, parameters_[index].begin, end(index) - parameters_[index].begin);
    }
    out_.replace(begin_, std::string::npos, sorted);
}

}  // namespace export_worker::signing
