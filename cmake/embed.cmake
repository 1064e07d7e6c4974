# Turns a file into a C++ string_view: cmake -DIN=file -DOUT=file.cpp -DNAME=kName -DNAMESPACE=a::b -P embed.cmake
file(READ ${IN} content HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${content}")
file(WRITE ${OUT} "#include <string_view>

namespace ${NAMESPACE} {
namespace {
constexpr char kBytes[] = {${bytes}};
}
extern const std::string_view ${NAME};
const std::string_view ${NAME}(kBytes, sizeof kBytes);
}  // namespace ${NAMESPACE}
")
