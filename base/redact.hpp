// What may be logged: the one place that decides whether a text contains a credential.
//
// Looked at as written and percent-decoded, in any case of letters. A credential is an API key or
// session token of ours ("mo_", "mos_" where a word begins, or with a key's digits anywhere), a JWT
// ("eyJ...."), or a query parameter such as sig=, X-Amz-Signature=, Signature=, api_key= or
// access_token=.
#pragma once

#include <string>
#include <string_view>

namespace export_worker {

// Also true for a part of a credential, where it can be told from other text.
[[nodiscard]] bool holds_credential(std::string_view text);
// The text with every word that holds a credential as "(hidden)". Words end at blanks, control
// characters and quotation marks.
[[nodiscard]] std::string hide_credentials(std::string_view text);

}  // namespace export_worker
