// Result<T>: a value, or the Error that stood in its way.
//
// EW_TRY(x, expression) unwraps into a new variable or returns the error; EW_CHECK(expression) does
// the same for Result<void>. Both are for functions that return a Result themselves.
#pragma once

#include <utility>
#include <tl/expected.hpp>

#include "base/error.hpp"

namespace export_worker {

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
    return tl::unexpected<Error>(Error{code, std::move(message)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}
[[nodiscard]] tl::unexpected<Error> invalid_argument(std::string message);

}  // namespace export_worker

#define EW_CONCAT_INNER(a, b) a##b
#define EW_CONCAT(a, b) EW_CONCAT_INNER(a, b)
// `variable` may be a declaration, which takes no parentheses.
#define EW_TRY(variable, expression)                                                      \
    auto EW_CONCAT(ew_result_, __LINE__) = (expression);                                  \
    if (!EW_CONCAT(ew_result_, __LINE__))                                                 \
        return ::tl::make_unexpected(std::move(EW_CONCAT(ew_result_, __LINE__)).error()); \
    variable = std::move(*EW_CONCAT(ew_result_, __LINE__))  // NOLINT(bugprone-macro-parentheses)
#define EW_CHECK(expression)                                                                   \
    do {                                                                                       \
        if (auto EW_CONCAT(ew_checked_, __LINE__) = (expression);                              \
            !EW_CONCAT(ew_checked_, __LINE__))                                                 \
            return ::tl::make_unexpected(std::move(EW_CONCAT(ew_checked_, __LINE__)).error()); \
    } while (false)
