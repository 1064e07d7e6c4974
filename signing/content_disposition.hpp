// The Content-Disposition header of a download (RFC 6266, RFC 8187), the one place that builds it.
#pragma once

#include <string>
#include <string_view>

namespace export_worker::signing {

// A file name that is safe to offer: path separators, control characters, bidirectional overrides
// and invalid UTF-8 become '_', leading dots and blanks go; at most kFileNameBytesMax bytes;
// "export" when nothing is left.
[[nodiscard]] std::string safe_filename(std::string_view name);

// `attachment; filename="..."`, with `; filename*=UTF-8''...` when the name is not plain ASCII.
// `name` goes through safe_filename() first.
[[nodiscard]] std::string content_disposition(std::string_view name);
// Appends the same to `out`.
void append_content_disposition(std::string& out, std::string_view name);

}  // namespace export_worker::signing
