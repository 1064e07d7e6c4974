// The texts credentials come in, read without touching anything else. Errors name what was expected
// and never repeat a text: it is a secret, or next to one.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/credentials/credentials.hpp"

namespace export_worker::credentials {

// One profile of AWS's shared credentials file. Errors: kFailedPrecondition when there is none of
// that name or it takes its credentials from elsewhere; kUnavailable when they are no good.
[[nodiscard]] Result<Credentials> parse_profile(std::string_view text, std::string_view profile,
                                                const Clock& clock);

// {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}: what containers and instances are
// handed. Errors: kUnavailable.
[[nodiscard]] Result<Credentials> parse_handed_out(std::string_view json_text, const Clock& clock);

// The answer of AssumeRoleWithWebIdentity. Errors: kUnavailable.
[[nodiscard]] Result<Credentials> parse_assumed_role(std::string_view xml_text, const Clock& clock);

// The key file of a Google service account. Errors: kInvalidArgument.
[[nodiscard]] Result<Credentials> parse_service_account(std::string_view json_text);

// "AccountName=...;AccountKey=...", of which the name must be `account`. Errors: kInvalidArgument.
[[nodiscard]] Result<Credentials> parse_connection_string(std::string_view text,
                                                          std::string_view account);

// An account key alone. Errors: kInvalidArgument.
[[nodiscard]] Result<Credentials> parse_account_key(std::string_view key, std::string_view account);

}  // namespace export_worker::credentials
