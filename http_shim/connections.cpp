#include "http_shim/connections.hpp"

#include <algorithm>

#include "base/address_list.hpp"
#include "http_shim/limits.hpp"

namespace export_worker::http_shim {

std::unique_ptr<Connections::Place> Connections::admit(const std::string& peer, bool is_proxy) {
    std::string group = limit_group(peer);
    const auto found = connections_of_.find(group);
    const bool full_address = !is_proxy && per_address_max_ > 0 && found != connections_of_.end() &&
                              found->second >= per_address_max_;
    const bool full = open_ - in_reserve_ >= limits::kHttpConnectionsMax;
    const bool reserve = !full_address && full && !close_longest_idle();
    if (full_address || (reserve && in_reserve_ >= limits::kHttpReserveMax)) {
        ++refused_;
        return nullptr;
    }
    return std::unique_ptr<Place>(new Place(*this, std::move(group), reserve));
}

bool Connections::close_longest_idle() {
    if (idle_.empty()) return false;
    Place& place = *idle_.front();
    place.begin_request();  // No longer among those that wait, whenever it really ends.
    ++closed_idle_;
    if (place.close_) place.close_();
    return true;
}

Connections::Place::Place(Connections& owner, std::string group, bool reserve)
    : owner_(owner),
      of_address_(owner.connections_of_.try_emplace(std::move(group)).first),
      reserve_(reserve),
      where_(owner.idle_.insert(owner.idle_.end(), this)) {
    ++of_address_->second;
    ++owner_.open_;
    ++owner_.fresh_;
    if (reserve_) {
        ++owner_.in_reserve_;
        begin_request();  // Not one to be closed for the next.
    }
}

Connections::Place::~Place() {
    (busy_ ? owner_.busy_ : owner_.idle_).erase(where_);
    end_fresh();
    --owner_.open_;
    if (reserve_) --owner_.in_reserve_;
    if (--of_address_->second == 0) owner_.connections_of_.erase(of_address_);
}

void Connections::Place::end_fresh() {
    if (!fresh_) return;
    fresh_ = false;
    --owner_.fresh_;
}

void Connections::Place::begin_request() {
    if (busy_) return;
    busy_ = true;
    end_fresh();
    owner_.busy_.splice(owner_.busy_.end(), owner_.idle_, where_);
}

void Connections::Place::end_request() {
    if (!busy_) return;
    busy_ = false;
    owner_.idle_.splice(owner_.idle_.end(), owner_.busy_, where_);
}

// What `bytes` more cost, after the free ones.
std::size_t Connections::Held::cost_of(std::size_t bytes) const {
    const std::size_t held = bytes_ + bytes;
    return held - std::min(held, limits::kHttpBytesFree) - counted_;
}

std::size_t Connections::Held::held_by_address() const {
    const auto found = budget_.by_address.find(limit_group(holder_.address));
    return found == budget_.by_address.end() ? 0 : found->second;
}

bool Connections::Held::add(std::size_t bytes) {
    const std::size_t more = cost_of(bytes);
    const bool fits =
        more == 0 ||
        (budget_.bytes + more <= budget_.bytes_max &&
         (holder_.is_proxy || held_by_address() + more <= budget_.bytes_per_address_max));
    if (fits) add_anyway(bytes);
    return fits;
}

void Connections::Held::add_anyway(std::size_t bytes) {
    const std::size_t more = cost_of(bytes);
    bytes_ += bytes;
    if (more == 0) return;
    counted_ += more;
    budget_.bytes += more;
    budget_.by_address[limit_group(holder_.address)] += more;
}

bool Connections::Held::share_has_room() const {
    return holder_.is_proxy ? budget_.bytes < budget_.bytes_max
                            : held_by_address() < budget_.bytes_per_address_max;
}

void Connections::Held::give_back() {
    bytes_ = 0;
    if (counted_ == 0) return;
    budget_.bytes -= counted_;
    const auto found = budget_.by_address.find(limit_group(holder_.address));
    if ((found->second -= counted_) == 0) budget_.by_address.erase(found);
    counted_ = 0;
}

}  // namespace export_worker::http_shim
