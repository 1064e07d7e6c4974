// Where an organization wants its notices.
#pragma once

#include <string>

namespace export_worker::model {

struct WebhookSettings {
    bool operator==(const WebhookSettings&) const = default;

    std::string organization_id;
    std::string url;  // http or https.
    std::string secret_file;
    bool allow_private = false;  // The URL may lead into a private network.
};

}  // namespace export_worker::model
