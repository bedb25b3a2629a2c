#include "proxy/commands/keygen.h"

#include <filesystem>
#include <iostream>

#include "proxy/commands/new_file.h"
#include "proxy/signing/generate.h"

namespace egret::commands {
namespace {

using policy::SigningAlgorithm;
using policy::SigningScheme;

constexpr int kFailed = 2;

int fail(const std::string& sentence) {
  std::cerr << "egret: " << sentence << "\n";
  return kFailed;
}

// The words of a table, as a sentence has them.
template <typename Table>
std::string listed(const Table& table) {
  std::string words;
  for (const auto& [word, value] : table) words.append(words.empty() ? "" : ", ").append(word);
  return words;
}

// The lines of a configuration that use the new secret.
std::string configuration(const KeygenOptions& options, const std::string& algorithm) {
  std::error_code ignored;
  const std::string file =
      options.output.empty() ? "PATH" : std::filesystem::absolute(options.output, ignored).string();
  std::string text = "keys:\n  NAME:\n    scheme: " + options.scheme + "\n";
  if (!algorithm.empty()) text += "    algorithm: " + algorithm + "\n";
  return text + "    secrets: [{file: \"" + file + "\"}]\n";
}

}  // namespace

int keygen(const KeygenOptions& options) {
  const auto scheme = policy::parse_signing_scheme(options.scheme);
  if (!scheme) {
    return fail("\"" + options.scheme + "\" is no scheme; it is one of " +
                listed(policy::signing_schemes()));
  }
  const bool chosen = *scheme == SigningScheme::http_message_signatures;
  if (!chosen && !options.algorithm.empty()) {
    return fail("--algorithm: only http-message-signatures leaves a choice");
  }
  const std::string word = options.algorithm.empty() ? "ed25519" : options.algorithm;
  const auto algorithm =
      chosen ? policy::parse_signing_algorithm(word) : SigningAlgorithm::hmac_sha256;
  if (!algorithm) {
    return fail("--algorithm: \"" + word + "\" is none of " + listed(policy::signing_algorithms()));
  }
  const signing::Generated made = signing::generate(*scheme, *algorithm);
  std::ostream& rest = options.output.empty() ? std::cerr : std::cout;
  if (options.output.empty()) {
    std::cout << made.secret.reveal() << std::flush;
  } else {
    const std::string trouble = write_new(options.output, made.secret.reveal(), kOwnersOnly);
    if (!trouble.empty()) return fail(trouble);
    std::cout << "The secret is in " << options.output << ", which only its owner can read.\n";
  }
  if (made.public_part.empty()) {
    rest << "Receivers verify with the same secret: give it to them on a way that others cannot "
            "read.\n";
  } else {
    rest << "For receivers, who may be told openly:\n" << made.public_part << made.jwk << "\n";
  }
  rest << "In Egret's configuration:\n" << configuration(options, chosen ? word : "");
  return 0;
}

}  // namespace egret::commands
