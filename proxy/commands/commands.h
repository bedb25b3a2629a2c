#pragma once

namespace egret::commands {

// The whole command line. Returns the process's exit code: 0, or
//   2 usage or configuration · 1 a running gateway failed · explain also 3 denied, 4 unresolved.
int main(int argc, char** argv);

}  // namespace egret::commands
