#include "proxy/commands/commands.h"

int main(int argc, char** argv) { return egret::commands::main(argc, argv); }
