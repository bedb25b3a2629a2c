# egret_precompile(TARGET HEADER): compiles TARGET's files with HEADER read in advance, where EGRET_PCH asks for that.
#   The first target that names a HEADER has it compiled and the others take it from there, so all must be compiled with
#   the same options.
function(egret_precompile TARGET HEADER)
  if(NOT EGRET_PCH)
    return()
  endif()
  get_property(first GLOBAL PROPERTY egret_precompiled_${HEADER})
  if(first)
    target_precompile_headers(${TARGET} REUSE_FROM ${first})
  else()
    target_precompile_headers(${TARGET} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${CMAKE_SOURCE_DIR}/${HEADER}>")
    set_property(GLOBAL PROPERTY egret_precompiled_${HEADER} ${TARGET})
  endif()
endfunction()

# egret_room(NAME FOLDER [LINK rooms…] [PUBLIC libraries…] [PRIVATE libraries…])
#   One static library egret_NAME of the .cc files directly in FOLDER (main.cc left out). PRIVATE
#   libraries are the third-party ones that only this room's .cc files may see.
function(egret_room NAME FOLDER)
  cmake_parse_arguments(ROOM "" "" "LINK;PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${FOLDER}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(NOT sources)
    set(sources ${CMAKE_SOURCE_DIR}/cmake/empty.cc)
  endif()
  add_library(egret_${NAME} STATIC ${sources})
  target_include_directories(egret_${NAME} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(egret_${NAME} PRIVATE ${EGRET_WARNINGS})
  target_link_libraries(egret_${NAME} PUBLIC ${ROOM_LINK} ${ROOM_PUBLIC} PRIVATE ${ROOM_PRIVATE})
  egret_precompile(egret_${NAME} cmake/precompiled.h)
endfunction()

# egret_embed_text(TARGET FILE SYMBOL): `extern const std::string_view egret::embedded::SYMBOL`.
function(egret_embed_text TARGET FILE SYMBOL)
  set(out ${CMAKE_BINARY_DIR}/embedded/${SYMBOL}.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DIN=${CMAKE_SOURCE_DIR}/${FILE} -DOUT=${out} -DSYMBOL=${SYMBOL}
            -P ${CMAKE_SOURCE_DIR}/cmake/EmbedText.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/${FILE} ${CMAKE_SOURCE_DIR}/cmake/EmbedText.cmake
    VERBATIM)
  target_sources(${TARGET} PRIVATE ${out})
endfunction()

set(EGRET_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
    -Woverloaded-virtual -Werror)
