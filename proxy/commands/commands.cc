#include "proxy/commands/commands.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <optional>

#include "proxy/commands/ca.h"
#include "proxy/commands/check.h"
#include "proxy/commands/deliveries.h"
#include "proxy/commands/endpoints.h"
#include "proxy/commands/explain.h"
#include "proxy/commands/keygen.h"
#include "proxy/commands/receive.h"
#include "proxy/commands/run.h"
#include "proxy/version.h"

namespace egret::commands {
namespace {

// `egret ca init` and `egret ca show`.
struct CaCommands {
  CaInit wanted;
  CLI::App* init = nullptr;
  CLI::App* show = nullptr;

  explicit CaCommands(CLI::App& app) {
    CLI::App* ca = app.add_subcommand("ca", "The CA of `connect: intercept`");
    ca->require_subcommand(1);
    init = ca->add_subcommand("init", "Make one; nothing is overwritten");
    show = ca->add_subcommand("show", "Say what it is, and how senders come to trust it");
    for (CLI::App* each : {init, show}) {
      each->add_option("-c,--config", wanted.files.config,
                       "The configuration whose `interception` names the files");
      each->add_option("--certificate", wanted.files.certificate,
                       "The certificate's file (egret-ca.pem)");
    }
    init->add_option("--key", wanted.files.key, "The key's file (egret-ca.key)");
    init->add_option("--name", wanted.name, "The subject's common name")
        ->check(CLI::Validator(
            [](const std::string& name) {
              const bool good = !name.empty() && name.size() <= 64;  // RFC 5280, ub-common-name
              return good ? std::string() : std::string("1 to 64 bytes");
            },
            "NAME"));
    init->add_option("--days", wanted.days, "How long it is valid (3650)")
        ->check(CLI::Range(1, 36500));
    init->add_option("--permit-dns", wanted.permit_dns,
                     "A domain that it may vouch for, and what is below it; may be repeated");
    init->add_option("--permit-ip", wanted.permit_ip,
                     "A network that it may vouch for; may be repeated");
  }
};

struct KeygenCommand {
  KeygenOptions wanted;
  CLI::App* command = nullptr;

  explicit KeygenCommand(CLI::App& app) {
    command = app.add_subcommand("keygen", "Make a new secret or key pair to sign with");
    command
        ->add_option("scheme", wanted.scheme,
                     "standard-webhooks, standard-webhooks-ed25519, http-message-signatures, "
                     "stripe, github, shopify or slack")
        ->required();
    command->add_option("--algorithm", wanted.algorithm,
                        "Of http-message-signatures: ed25519 (usual), hmac-sha256, "
                        "ecdsa-p256-sha256 or rsa-pss-sha512");
    command->add_option("-o,--output", wanted.output,
                        "A new file for the secret; without it: stdout");
  }
};

struct ReceiveCommand {
  ReceiveOptions wanted;
  CLI::App* command = nullptr;

  explicit ReceiveCommand(CLI::App& app) {
    command =
        app.add_subcommand("receive", "Receive webhooks, print them, verify their signatures");
    command->add_option("--port", wanted.port, "The port (9000); 0: any that is free");
    command->add_option("--address", wanted.address, "The address (127.0.0.1)");
    command->add_option("--key", wanted.keys,
                        "A file with whsec_…, whpk_…, a public key as PEM, or another scheme's "
                        "secret; may be repeated");
    command->add_option("--scheme", wanted.scheme, "The scheme, where the key does not say it");
    command->add_option("--status", wanted.status, "Answer with this status")
        ->check(CLI::Range(200, 599));
    command->add_option("--delay", wanted.delay, "Wait before each answer, such as 2s");
    command->add_option("--fail", wanted.fail, "Let so many requests fail first (with 503)")
        ->check(CLI::Range(1, 1'000'000));
    command->add_option("--redirect", wanted.redirect, "Answer with 307 to this URL");
  }
};

// Before the act or behind it, as people write them.
void add_admin_options(CLI::App* command, std::initializer_list<CLI::App*> acts,
                       AdminOptions& admin) {
  const auto add = [&admin](CLI::App* to) {
    to->add_option("--admin", admin.url,
                   "The admin listener (http://127.0.0.1:4751), or unix:/path");
    to->add_option("--token-file", admin.token_file,
                   "A file with admin.token; without it: $EGRET_ADMIN_TOKEN");
  };
  add(command);
  for (CLI::App* act : acts) add(act);
}

struct DeliveriesCommands {
  DeliveriesOptions wanted;
  CLI::App* list = nullptr;
  CLI::App* show = nullptr;
  CLI::App* replay = nullptr;
  CLI::App* cancel = nullptr;
  CLI::App* exporting = nullptr;

  explicit DeliveriesCommands(CLI::App& app) {
    CLI::App* all = app.add_subcommand("deliveries", "What a running Egret's queue holds");
    all->require_subcommand(1);
    list = all->add_subcommand("list", "List deliveries, newest first");
    show = all->add_subcommand("show", "One delivery, with every attempt at it");
    replay = all->add_subcommand("replay",
                                 "Queue again: one, or all that a filter finds, the dead "
                                 "ones unless --status says otherwise");
    cancel = all->add_subcommand("cancel", "End one that is queued; it can be replayed");
    exporting = all->add_subcommand("export", "Everything, one JSON object a line");
    add_admin_options(all, {list, show, replay, cancel, exporting}, wanted.admin);
    for (CLI::App* each : {show, cancel}) each->add_option("id", wanted.id, "Its id")->required();
    replay->add_option("id", wanted.id, "Its id");
    for (CLI::App* each : {list, replay, exporting}) {
      each->add_option("--status", wanted.status, "queued, running, delivered, dead, cancelled");
      each->add_option("--host", wanted.host, "Of this host, without a port");
      each->add_option("--sender", wanted.sender, "Of this sender");
      each->add_option("--since", wanted.since, "Accepted then or later: 2026-12-31T23:59:59Z");
    }
    for (CLI::App* each : {list, exporting}) {
      each->add_option("--limit", wanted.limit, "At most so many (100; of export: all)")
          ->check(CLI::Range(1, 1'000'000'000));
    }
    for (CLI::App* each : {list, show}) each->add_flag("--json", wanted.json, "As JSON");
    exporting->add_flag("--content", wanted.content,
                        "With what the sender sent; needs the token or a Unix socket");
  }
  // The exit code, when one of them was asked for.
  [[nodiscard]] std::optional<int> run() const {
    if (*list) return deliveries_list(wanted);
    if (*show) return deliveries_show(wanted);
    if (*replay) return deliveries_replay(wanted);
    if (*cancel) return deliveries_cancel(wanted);
    if (*exporting) return deliveries_export(wanted);
    return std::nullopt;
  }
};

struct EndpointsCommands {
  EndpointsOptions wanted;
  CLI::App* list = nullptr;
  CLI::App* enable = nullptr;
  CLI::App* disable = nullptr;

  explicit EndpointsCommands(CLI::App& app) {
    CLI::App* all =
        app.add_subcommand("endpoints", "Which hosts a running Egret has switched off, and why");
    all->require_subcommand(1);
    list = all->add_subcommand("list", "List hosts that fail or are switched off, open breakers");
    enable = all->add_subcommand("enable", "Switch a host on, and close its breakers");
    disable = all->add_subcommand("disable", "Switch a host off for queued deliveries");
    add_admin_options(all, {list, enable, disable}, wanted.admin);
    for (CLI::App* each : {enable, disable}) {
      each->add_option("host", wanted.host, "The host, without a port")->required();
    }
    list->add_flag("--json", wanted.json, "As JSON");
  }
  // The exit code, when one of them was asked for.
  [[nodiscard]] std::optional<int> run() const {
    if (*list) return endpoints_list(wanted);
    if (*enable) return endpoints_enable(wanted);
    if (*disable) return endpoints_disable(wanted);
    return std::nullopt;
  }
};

// Help and version go to stdout with 0; a mistake is one line on stderr, with what to do.
int report(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cerr << "egret: " << message << " (see egret --help)\n";
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Egret: an egress proxy and security gateway for webhooks", "egret");
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help and exit");

  std::string config;
  const auto with_config = [&config](CLI::App* command) {
    command->add_option("-c,--config", config,
                        "The configuration; without it: the safe built-in defaults");
    return command;
  };
  CLI::App* run = with_config(app.add_subcommand("run", "Run in the foreground"));
  run->footer("SIGTERM drains, a second one stops. SIGHUP reloads the configuration.");
  CLI::App* check = with_config(app.add_subcommand("check", "Validate a configuration"));

  ExplainOptions explain_options;
  CLI::App* explain = with_config(
      app.add_subcommand("explain", "Say what would happen to a request for a URL, and why"));
  explain->add_option("--sender", explain_options.sender, "The sender's name, as in `senders`");
  explain->add_option("--method", explain_options.method,
                      "The method; CONNECT takes host:port in the URL's place");
  explain->add_flag("--json", explain_options.json, "One JSON object a URL");
  explain->add_option("url", explain_options.url, "The URL, or - for one URL a line on stdin")
      ->required();
  explain->footer("Exit: 0 allowed, 3 denied or malformed, 4 cannot be resolved, 2 usage.");
  const CaCommands ca(app);
  const KeygenCommand keys(app);
  const ReceiveCommand receiver(app);
  const DeliveriesCommands deliveries(app);
  const EndpointsCommands endpoints(app);
  CLI::App* version = app.add_subcommand("version", "Print the version");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report(app, error);
  }
  if (*version) {
    std::cout << "egret " << proxy::kVersion << "\n";
    return 0;
  }
  if (*ca.init) return ca_init(ca.wanted);
  if (*ca.show) return ca_show(ca.wanted.files);
  if (*keys.command) return keygen(keys.wanted);
  if (*receiver.command) return receive(receiver.wanted);
  if (const std::optional<int> code = deliveries.run()) return *code;
  if (const std::optional<int> code = endpoints.run()) return *code;
  if (*check) return commands::check(config);
  if (*explain) {
    explain_options.config = config;
    return commands::explain(explain_options);
  }
  return *run ? commands::run(config) : kUsage;
}

}  // namespace egret::commands
