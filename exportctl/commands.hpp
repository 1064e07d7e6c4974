// The functions behind the verbs; commands() in command.cpp has them in one table.
#pragma once

#include "exportctl/command.hpp"

namespace export_worker::exportctl {

int run_status(const Context& context, const options::Arguments& arguments);
int run_doctor(const Context& context, const options::Arguments& arguments);
int run_drain(const Context& context, const options::Arguments& arguments);
int run_key_create(const Context& context, const options::Arguments& arguments);
int run_key_rotate(const Context& context, const options::Arguments& arguments);
int run_key_list(const Context& context, const options::Arguments& arguments);
int run_key_revoke(const Context& context, const options::Arguments& arguments);
int run_member_set(const Context& context, const options::Arguments& arguments);
int run_member_deactivate(const Context& context, const options::Arguments& arguments);
int run_member_list(const Context& context, const options::Arguments& arguments);
int run_session_create(const Context& context, const options::Arguments& arguments);
int run_session_list(const Context& context, const options::Arguments& arguments);
int run_session_revoke(const Context& context, const options::Arguments& arguments);
int run_plugin_list(const Context& context, const options::Arguments& arguments);
int run_plugin_show(const Context& context, const options::Arguments& arguments);
int run_plugin_load(const Context& context, const options::Arguments& arguments);
int run_plugin_reload(const Context& context, const options::Arguments& arguments);
int run_plugin_rollback(const Context& context, const options::Arguments& arguments);
int run_plugin_commit(const Context& context, const options::Arguments& arguments);
int run_plugin_unpin(const Context& context, const options::Arguments& arguments);
int run_plugin_history(const Context& context, const options::Arguments& arguments);
int run_plugin_quarantine_list(const Context& context, const options::Arguments& arguments);
int run_plugin_quarantine_lift(const Context& context, const options::Arguments& arguments);
int run_metrics(const Context& context, const options::Arguments& arguments);
int run_plugin_check(const Context& context, const options::Arguments& arguments);
int run_catalog_import(const Context& context, const options::Arguments& arguments);
int run_price_import(const Context& context, const options::Arguments& arguments);
int run_template_put(const Context& context, const options::Arguments& arguments);
int run_template_list(const Context& context, const options::Arguments& arguments);
int run_template_show(const Context& context, const options::Arguments& arguments);
int run_template_drop(const Context& context, const options::Arguments& arguments);
int run_catalog_generate(const Context& context, const options::Arguments& arguments);
int run_export_submit(const Context& context, const options::Arguments& arguments);
int run_job_show(const Context& context, const options::Arguments& arguments);
int run_job_list(const Context& context, const options::Arguments& arguments);
int run_job_cancel(const Context& context, const options::Arguments& arguments);
int run_job_retry(const Context& context, const options::Arguments& arguments);
int run_job_hold(const Context& context, const options::Arguments& arguments);
int run_job_release(const Context& context, const options::Arguments& arguments);
int run_job_events(const Context& context, const options::Arguments& arguments);
int run_organization_list(const Context& context, const options::Arguments& arguments);
int run_organization_show(const Context& context, const options::Arguments& arguments);
int run_organization_set(const Context& context, const options::Arguments& arguments);
int run_cluster_status(const Context& context, const options::Arguments& arguments);
int run_cluster_evict(const Context& context, const options::Arguments& arguments);
int run_compact(const Context& context, const options::Arguments& arguments);
int run_fsck(const Context& context, const options::Arguments& arguments);
int run_prune(const Context& context, const options::Arguments& arguments);
int run_retention_resume(const Context& context, const options::Arguments& arguments);
int run_backup(const Context& context, const options::Arguments& arguments);
int run_restore(const Context& context, const options::Arguments& arguments);
int run_migrate(const Context& context, const options::Arguments& arguments);
int run_curve(const Context& context, const options::Arguments& arguments);
int run_link(const Context& context, const options::Arguments& arguments);
int run_sign(const Context& context, const options::Arguments& arguments);

}  // namespace export_worker::exportctl
