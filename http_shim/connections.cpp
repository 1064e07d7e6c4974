#include "http_shim/connections.hpp"

#include <algorithm>

#include "base/address_list.hpp"
#include "http_shim/limits.hpp"

namespace export_worker::http_shim {

std::unique_ptr<Connections::Place> Connections::admit(const std::string& peer, bool is_proxy) {
    std::string group = limit_group(peer);
    const auto found = groups_.find(group);
    const bool full_address = !is_proxy && per_address_max_ > 0 && found != groups_.end() &&
                              found->second.connections >= per_address_max_;
    const bool full = open_ - in_reserve_ >= limits::kHttpConnectionsMax;
    const bool reserve = !full_address && full && !close_longest_idle();
    if (full_address || (reserve && in_reserve_ >= limits::kHttpReserveMax)) {
        ++refused_;
        return nullptr;
    }
    return std::unique_ptr<Place>(new Place(*this, std::move(group), is_proxy, reserve));
}

bool Connections::close_longest_idle() {
    if (idle_.empty()) return false;
    Place& place = *idle_.front();
    place.begin_request();  // No longer among those that wait, whenever it really ends.
    ++closed_idle_;
    if (place.close_) place.close_();
    return true;
}

Connections::Place::Place(Connections& owner, std::string group, bool is_proxy, bool reserve)
    : owner_(owner),
      group_(owner.groups_.try_emplace(std::move(group)).first),
      is_proxy_(is_proxy),
      reserve_(reserve),
      where_(owner.idle_.insert(owner.idle_.end(), this)) {
    ++group_->second.connections;
    ++owner_.open_;
    if (reserve_) {
        ++owner_.in_reserve_;
        begin_request();  // Not one to be closed for the next.
    }
}

Connections::Place::~Place() {
    (busy_ ? owner_.busy_ : owner_.idle_).erase(where_);
    --owner_.open_;
    if (reserve_) --owner_.in_reserve_;
    if (--group_->second.connections == 0) owner_.groups_.erase(group_);
}

void Connections::Place::begin_request() {
    if (busy_) return;
    busy_ = true;
    owner_.busy_.splice(owner_.busy_.end(), owner_.idle_, where_);
}

void Connections::Place::end_request() {
    if (!busy_) return;
    busy_ = false;
    owner_.idle_.splice(owner_.idle_.end(), owner_.busy_, where_);
}

bool Connections::Held::add(std::size_t bytes) {
    const std::size_t held = bytes_ + bytes;
    const std::size_t counted = held - std::min(held, limits::kHttpBytesFree);
    const std::size_t more = counted - counted_;
    Group& group = place_.group_->second;
    const bool fits =
        place_.owner_.bytes_held_ + more <= limits::kHttpBytesHeldMax &&
        (place_.is_proxy_ || group.bytes_held + more <= limits::kHttpBytesHeldPerAddressMax);
    if (!fits && more > 0) return false;
    bytes_ = held;
    counted_ = counted;
    place_.owner_.bytes_held_ += more;
    group.bytes_held += more;
    return true;
}

Connections::Held::~Held() {
    place_.owner_.bytes_held_ -= counted_;
    place_.group_->second.bytes_held -= counted_;
}

}  // namespace export_worker::http_shim
