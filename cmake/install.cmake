# SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(ttt_package_directory "${CMAKE_INSTALL_DATADIR}/cmake/ttt")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ttt" DESTINATION include FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/ttt")

install(TARGETS ttt ttt_native EXPORT ttt_targets)
install(EXPORT ttt_targets NAMESPACE ttt:: FILE ttt-targets.cmake DESTINATION "${ttt_package_directory}")
# Apart, because the package must load where nlohmann-json is missing.
if(TARGET ttt_loaders)
  install(TARGETS ttt_loaders EXPORT ttt_loaders_targets)
  install(EXPORT ttt_loaders_targets NAMESPACE ttt:: FILE ttt-loaders-targets.cmake
    DESTINATION "${ttt_package_directory}")
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/ttt-config.cmake.in"
  "${PROJECT_BINARY_DIR}/ttt-config.cmake" INSTALL_DESTINATION "${ttt_package_directory}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ttt-config-version.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/ttt-config.cmake" "${PROJECT_BINARY_DIR}/ttt-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/ttt-xsimd.cmake" "${PROJECT_SOURCE_DIR}/cmake/ttt-interop.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/ttt-kernels.cmake" "${PROJECT_SOURCE_DIR}/cmake/ttt-optimisation.cmake"
  DESTINATION "${ttt_package_directory}")
