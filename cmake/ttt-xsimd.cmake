# SPDX-License-Identifier: MIT
# ttt::xsimd: the include folder of xsimd and nothing else. Debian's own target `xsimd` also links `xtl`, which is not
# installed with it, so that programs would fail to link.
if(NOT TARGET ttt::xsimd)
  add_library(ttt::xsimd INTERFACE IMPORTED GLOBAL)
  if(TARGET xsimd)
    get_target_property(ttt_xsimd_directories xsimd INTERFACE_INCLUDE_DIRECTORIES)
  else()
    set(ttt_xsimd_directories "${xsimd_INCLUDE_DIRS}")
  endif()
  set_target_properties(ttt::xsimd PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${ttt_xsimd_directories}")
endif()
