// Read in advance where EGRET_PCH is on: what most tests include, and say so themselves.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmake/precompiled.h"
