# cmake --install DIRECTORY --prefix /usr: programs, units, the plugin with its golden requests, the sample configuration, and the
# kit for authors of plugins (headers, version script, find_package(ExportWorkerPlugin), documentation, examples).
# With --component author_kit: the kit alone.
include(GNUInstallDirs)
option(EXPORT_WORKER_INSTALL_STRIPPED "Leave symbols out of what is installed; OFF for packages, which take them apart" ON)
# The build directory keeps the symbols for gdb. Runs before the files are installed.
if(EXPORT_WORKER_INSTALL_STRIPPED)
    install(CODE "set(CMAKE_INSTALL_DO_STRIP TRUE)")
endif()
install(TARGETS export-workerd export-httpd exportctl RUNTIME)
install(TARGETS download_url LIBRARY DESTINATION lib/export-worker/plugins)
install(FILES plugins/download_url/download_url.golden.jsonl DESTINATION lib/export-worker/plugins)
install(FILES protocol/plugin_abi/types.h protocol/plugin_abi/host.h protocol/plugin_abi/extensions.h protocol/plugin_abi/plugin.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/export-worker/protocol/plugin_abi COMPONENT author_kit)
install(FILES protocol/plugin_abi/plugin.map DESTINATION lib/cmake/ExportWorkerPlugin COMPONENT author_kit)
install(FILES cmake/ExportWorkerPlugin.cmake DESTINATION lib/cmake/ExportWorkerPlugin RENAME ExportWorkerPluginConfig.cmake
    COMPONENT author_kit)
# Side by side as in the tree, so that links between the pages and to the examples work.
install(FILES docs/plugin_abi.md docs/life_of_a_reload.md DESTINATION ${CMAKE_INSTALL_DATADIR}/export-worker/docs COMPONENT author_kit)
install(DIRECTORY examples/plugin_template examples/plugin_rust DESTINATION ${CMAKE_INSTALL_DATADIR}/export-worker/examples
    COMPONENT author_kit PATTERN build EXCLUDE PATTERN target EXCLUDE PATTERN Cargo.lock EXCLUDE)
install(FILES tests/fixtures/plugins/minimal.c DESTINATION ${CMAKE_INSTALL_DATADIR}/export-worker/examples/plugin_minimal COMPONENT author_kit)
# The units name /usr/bin: they work with --prefix /usr.
install(FILES etc/systemd/export-workerd.service etc/systemd/export-httpd.service etc/systemd/export-httpd.socket
    DESTINATION lib/systemd/system)
foreach(name export-worker export-httpd)
    install(FILES etc/systemd/${name}.sysusers DESTINATION lib/sysusers.d RENAME ${name}.conf)
endforeach()
install(FILES etc/systemd/export-worker.tmpfiles DESTINATION lib/tmpfiles.d RENAME export-worker.conf)
install(FILES etc/export-worker.ini etc/roles.ini etc/grafana/export-worker.json etc/prometheus/export-worker.rules.yml DESTINATION ${CMAKE_INSTALL_DATADIR}/export-worker)
install(FILES exportctl/completions/exportctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME exportctl)
install(FILES exportctl/completions/_exportctl DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${CMAKE_BINARY_DIR}/man/exportctl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/man/export-worker.ini.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${CMAKE_BINARY_DIR}/man/export-workerd.8 ${CMAKE_BINARY_DIR}/man/export-httpd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
