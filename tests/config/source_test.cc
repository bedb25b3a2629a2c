#include "config/source.h"

#include "tests/config/support.h"

namespace egret::config {
namespace {

TEST(Source, CountsCharactersNotBytes) {
  const std::string_view text = "a: 1\n\xC3\xB6\xC3\xA4: \xE2\x82\xAC x\n";
  const Source source("f.yaml", text);
  const Span span = source.span(text.find('x'), 1);
  EXPECT_EQ(span.line, 2);
  EXPECT_EQ(span.column, 7);
  EXPECT_EQ(source.span(text.find("\xC3\xB6"), 4).width, 2);
}

TEST(Source, SpanEndsWithItsLine) {
  const Source source("f.yaml", "abc\r\ndef");
  EXPECT_EQ(source.span(1, 100).width, 2);
  EXPECT_EQ(source.line(1), "abc");
  EXPECT_EQ(source.line(2), "def");
  EXPECT_EQ(source.line(3), "");
  EXPECT_EQ(source.line(0), "");
}

TEST(Source, BeyondTheEndIsTheEnd) {
  const Source source("f.yaml", "abc\n");
  const Span span = source.span(1000);
  EXPECT_EQ(span.line, 2);
  EXPECT_EQ(span.column, 1);
}

TEST(DiagnosticText, HasTheLineAndACaret) {
  Diagnostic diagnostic;
  diagnostic.path = "egret.yaml";
  diagnostic.line = 12;
  diagnostic.column = 3;
  diagnostic.message = "unknown key \"prots\"; did you mean \"ports\"?";
  diagnostic.excerpt = "  prots: [443]";
  diagnostic.width = 5;
  EXPECT_EQ(diagnostic.to_string(),
            "egret.yaml:12:3: error: unknown key \"prots\"; did you mean \"ports\"?\n"
            "   12 |   prots: [443]\n"
            "      |   ^~~~~");
}

TEST(DiagnosticText, KeepsTabsBeforeTheCaretAndStaysOnTheLine) {
  Diagnostic diagnostic;
  diagnostic.path = "f";
  diagnostic.line = 1;
  diagnostic.column = 3;
  diagnostic.message = "m";
  diagnostic.excerpt = "\tax";
  diagnostic.width = 40;
  diagnostic.severity = Severity::warning;
  EXPECT_EQ(diagnostic.to_string(), "f:1:3: warning: m\n    1 | \tax\n      | \t ^");
}

TEST(DiagnosticText, OfTheWholeFileHasNoPlace) {
  Diagnostic diagnostic;
  diagnostic.path = "f";
  diagnostic.message = "m";
  EXPECT_EQ(diagnostic.to_string(), "f: error: m");
}

}  // namespace
}  // namespace egret::config
