// Azure Blob shared access signatures: service SAS with the account key, and user-delegation SAS.
//
// Source: Microsoft, "Create a service SAS" and "Create a user delegation SAS" (the tables of
// fields by version), checked against the JavaScript SDK. Layouts by signed version:
//   account key      2015-04-05, 2018-11-09 (adds sr and snapshot), 2020-12-06 (adds ses)
//   delegation key   2018-11-09, 2020-02-10 (adds saoid, suoid, scid), 2020-12-06 (adds ses),
//                    2025-07-05 (adds skdutid, sduoid), 2026-04-06 (adds srh, srq)
// Values are signed as they are and percent-encoded only in the URL.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "signing/endpoint.hpp"

namespace export_worker::signing {

inline constexpr std::string_view kAzureVersionOldest = "2015-04-05";
inline constexpr std::string_view kAzureVersionNewest = "2026-04-06";
// Has every field a download link uses, and is known to services and emulators of some age.
inline constexpr std::string_view kAzureVersionDefault = "2022-11-02";

// As "Get User Delegation Key" answers it.
struct AzureDelegationKey {
    std::string_view signed_oid;
    std::string_view signed_tid;
    std::string_view signed_start;
    std::string_view signed_expiry;
    std::string_view signed_service;
    std::string_view signed_version;
};

// Empty means absent. Times are UTC text, "2026-11-23T12:00:00Z"; the signed text is the sent text.
struct AzureSasRequest {
    std::string_view account;
    const Endpoint* endpoint = nullptr;  // Of the blob service, without the container.
    std::string_view container;
    std::string_view blob;  // Exact bytes, not encoded. Not looked at with resource "c".
    std::string_view version = kAzureVersionNewest;
    std::string_view resource = "b";  // b, bs (a snapshot), bv (a version) or c.
    std::string_view permissions;
    std::string_view start;
    std::string_view expiry;
    std::string_view ip;        // One address, or "first-last".
    std::string_view protocol;  // "https" or "https,http".
    std::string_view identifier;
    std::string_view encryption_scope;
    std::string_view snapshot;
    std::string_view version_id;
    std::string_view cache_control;
    std::string_view content_disposition;
    std::string_view content_encoding;
    std::string_view content_language;
    std::string_view content_type;
    const AzureDelegationKey* delegation_key = nullptr;
    std::string_view preauthorized_agent_object_id;  // The three with a delegation key only.
    std::string_view correlation_id;
    std::string_view delegated_user_object_id;
};

struct AzureSas {
    std::string url;
    std::string query;  // The token alone.
    std::string string_to_sign;
};

// `key` is the account key, or the delegation key's value, decoded from base64. Errors:
// kInvalidArgument for a version that is unknown or lacks a field that is given, a resource or
// protocol there is none of, a line break in a field, letters of `permissions` out of the service's
// order, neither identifier nor expiry and permissions, and what check_object_key() refuses.
[[nodiscard]] Result<AzureSas> sign_azure_sas(const AzureSasRequest& request, std::string_view key);

}  // namespace export_worker::signing
