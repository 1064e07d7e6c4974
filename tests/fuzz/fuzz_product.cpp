// Lines of an import: products and prices. What is accepted is stored as a text that reads back as
// the same product.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/model/product.hpp"

using namespace export_worker;
using namespace export_worker::model;

namespace {

void check(bool good) {
    if (!good) std::abort();
}

// A path repeats the names of the objects around it. Longer than a column's name may be, paths are
// of no use, and can take thousands of times the bytes of their line.
void check_paths(const std::vector<std::string>& paths) {
    check(std::ranges::all_of(
        paths, [](const std::string& path) { return path.size() <= limits::kProductKeyBytesMax; }));
}

void check_product(std::string_view line) {
    PropertyPaths paths;
    const auto product = parse_product(line, &paths);
    if (!product) return check(!product.error().message.empty());
    check(!product->key.empty() && product->key.size() <= limits::kProductKeyBytesMax);
    check_paths(paths.product);
    check_paths(paths.variant);
    // One line of an export, too.
    check(is_valid_utf8(product->body) && product->body.find('\n') == std::string::npos);
    PropertyPaths paths_again;
    const auto again = parse_product(product->body, &paths_again);
    check(again.has_value() && again->body == product->body && again->key == product->key &&
          again->product_type == product->product_type &&
          again->publish_status == product->publish_status && again->version == product->version);
    check(paths_again.product == paths.product && paths_again.variant == paths.variant);
}

void check_price(std::string_view line) {
    const auto price = parse_price(line);
    if (!price) return check(!price.error().message.empty());
    check(is_currency(price->currency));
    check(!price->amount.empty() && price->amount.size() <= 31 &&
          price->amount.find_first_not_of("0123456789.") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    check_product(line);
    check_price(line);
    return 0;
}
