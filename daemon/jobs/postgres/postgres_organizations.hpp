// Policies and quotas of organizations, in PostgreSQL.
#pragma once

#include <string_view>

#include "daemon/jobs/organizations.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/jobs/request_quotas.hpp"
#include "daemon/jobs/unwritten_holds.hpp"

namespace export_worker::jobs::pg {

class PostgresOrganizations final : public Organizations {
public:
    // Both outlive it.
    PostgresOrganizations(JobDatabase& database, UnwrittenHolds& unwritten_holds)
        : database_(database),
          unwritten_holds_(unwritten_holds),
          request_quotas_(database.clock()) {}
    // Once, before the first request.
    [[nodiscard]] Result<void> read_request_quotas();

    Result<void> set_organization(const OrganizationPolicy& policy) override;
    Result<Page<OrganizationState>> organizations(std::string_view after) override;
    Result<OrganizationState> organization(std::string_view id) override;
    Result<void> admit_request(std::string_view organization_id) override {
        return request_quotas_.admit(organization_id);
    }

private:
    void add_unwritten_hold(OrganizationState& state) const;

    JobDatabase& database_;
    UnwrittenHolds& unwritten_holds_;
    RequestQuotas request_quotas_;  // Of this daemon: each admits so many.
};

}  // namespace export_worker::jobs::pg
