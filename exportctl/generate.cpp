#include "exportctl/generate.hpp"

#include <array>
#include <cstdio>
#include <string_view>

#include "base/json.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;

// SplitMix64 (Steele, Lea, Flood 2014): tiny, and defined bit by bit, unlike the distributions of
// <random>.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    bool one_in(std::uint64_t count) { return below(count) == 0; }
    template <std::size_t N>
    std::string pick(const std::array<std::string_view, N>& from) {
        return std::string(from[below(N)]);
    }

private:
    std::uint64_t state_;
};

constexpr std::array<std::string_view, 5> kTypes{"shirt", "shoe", "mug", "book", "lamp"};
constexpr std::array<std::string_view, 8> kBrands{"Nordwind",    "Café Crème", "O'Neal & Sons",
                                                  "Müller",      "北極星",     "Ångström",
                                                  "Plain Goods", "Łódź Works"};
constexpr std::array<std::string_view, 8> kAdjectives{
    "soft", "sturdy", "Übergroß", "vintage", "eco-friendly", "été", "12\" wide", "hand-made"};
constexpr std::array<std::string_view, 7> kColors{"red",   "navy blue", "jaune",     "weiß",
                                                  "black", "голубой",   "🟢 green"};
constexpr std::array<std::string_view, 6> kMaterials{"cotton", "wool",  "stoneware",
                                                     "paper",  "steel", "leather"};
constexpr std::array<std::string_view, 5> kSizes{"S", "M", "L", "XL", "XXL"};
// What spreadsheets take for formulas; an export must carry them as they are.
constexpr std::array<std::string_view, 5> kFormulaLike{"=SUM(A1:A9)", "+49 40 1234", "-20% today",
                                                       "@home collection", "=1+1\",\"x"};

json price(Random& random) {
    const std::uint64_t cents = 99 + random.below(49'900);
    char text[24];
    std::snprintf(text, sizeof text, "%llu.%02llu", static_cast<unsigned long long>(cents / 100),
                  static_cast<unsigned long long>(cents % 100));
    return std::string(text);
}

std::string description(Random& random, const std::string& name) {
    if (random.one_in(10)) return random.pick(kFormulaLike);
    std::string text = name + ", made of " + random.pick(kMaterials) + ".";
    if (random.one_in(3)) text += "\nCare: \"wash cold\", dry flat.\r\nImported, boxed; see label.";
    for (std::uint64_t left = random.below(4); left > 0; --left)
        text += " It is " + random.pick(kAdjectives) + " and " + random.pick(kColors) + ".";
    return text;
}

json colors(Random& random) {
    json out = json::array();
    for (std::uint64_t count = 1 + random.below(3); count > 0; --count)
        out.push_back(random.pick(kColors));
    return out;
}

json variants(Random& random, const std::string& key) {
    json out = json::array();
    const std::uint64_t count = 1 + random.below(4);
    for (std::uint64_t index = 0; index < count; ++index) {
        out.push_back(
            {{"key", key + "/" + std::string(kSizes[index])},
             {"isPublished", !random.one_in(5)},
             {"properties",
              {{"size", kSizes[index]}, {"price", price(random)}, {"stock", random.below(500)}}}});
    }
    return out;
}

}  // namespace

std::string generate_product(std::uint64_t seed, std::uint64_t index) {
    Random random(seed * 0x2545f4914f6cdd1dULL + index);
    const unsigned long long number = index + 1;
    char key[32];
    std::snprintf(key, sizeof key, "sku-%08llu", number);
    const std::string type = random.pick(kTypes);
    const std::string brand = random.pick(kBrands);
    const std::string name = brand + " " + random.pick(kAdjectives) + " " + type;
    json properties = {
        {"name", name},
        {"brand", brand},
        {"description", description(random, name)},
        {"colors", colors(random)},
        {"price", price(random)},
        {"ean", "0" + std::to_string(400'000'000'000ULL + random.below(99'999'999'999ULL))},
        {"dimensions",
         {{"width_mm", 10 + random.below(900)},
          {"height_mm", 10 + random.below(900)},
          {"weight_kg", static_cast<double>(random.below(20'000)) / 1000.0}}}};
    if (type == "book") {
        properties["author"] = random.pick(kBrands);
        properties["pages"] = 20 + random.below(900);
    }
    if (type == "lamp") properties["is_dimmable"] = random.one_in(2);
    json product = {{"key", key},
                    {"productType", type},
                    {"isPublished", !random.one_in(4)},
                    {"properties", std::move(properties)}};
    if (random.one_in(3)) product["variants"] = variants(random, key);
    return dump_json(product);
}

}  // namespace export_worker::exportctl
