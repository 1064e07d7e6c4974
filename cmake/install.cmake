# cmake --install DIRECTORY --prefix /usr: programs, the plugin with its golden requests, the sample configuration, and the
# kit for authors of plugins (headers, version script, find_package(ExportWorkerPlugin)).
include(GNUInstallDirs)
# What is installed carries no symbols; the build directory keeps them for gdb. Runs before the files are installed.
install(CODE "set(CMAKE_INSTALL_DO_STRIP TRUE)")
install(TARGETS export-workerd export-httpd exportctl RUNTIME)
install(TARGETS download_url LIBRARY DESTINATION lib/export-worker/plugins)
install(FILES plugins/download_url/download_url.golden.jsonl DESTINATION lib/export-worker/plugins)
install(FILES protocol/plugin_abi/types.h protocol/plugin_abi/host.h protocol/plugin_abi/extensions.h protocol/plugin_abi/plugin.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/export-worker/protocol/plugin_abi)
install(FILES protocol/plugin_abi/plugin.map DESTINATION lib/cmake/ExportWorkerPlugin)
install(FILES cmake/ExportWorkerPlugin.cmake DESTINATION lib/cmake/ExportWorkerPlugin RENAME ExportWorkerPluginConfig.cmake)
install(FILES etc/export-worker.ini etc/roles.ini etc/grafana/export-worker.json DESTINATION ${CMAKE_INSTALL_DATADIR}/export-worker)
