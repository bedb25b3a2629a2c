# Writes a text file as a C++ string_view: IN, OUT, SYMBOL.
file(READ ${IN} text)
file(WRITE ${OUT}
"#include <string_view>
namespace egret::embedded {
extern const std::string_view ${SYMBOL};
const std::string_view ${SYMBOL} = R\"EGRET_TEXT(${text})EGRET_TEXT\";
}  // namespace egret::embedded
")
