// Open connections: how many there are, whose they are, which of them only wait, and what they hold
// in memory. One address cannot use up the share of the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "http_shim/limits.hpp"

namespace export_worker::http_shim {

// [the io thread]
class Connections {
public:
    class Place;
    class Held;

    // `per_address_max`: connections of one limit_group(); 0: any number.
    explicit Connections(std::size_t per_address_max) : per_address_max_(per_address_max) {}
    Connections(const Connections&) = delete;
    Connections& operator=(const Connections&) = delete;

    // A place for a connection of `peer`; nullptr, counted in refused(): there is none. Once
    // kHttpConnectionsMax are open, the one that has waited longest for a request is closed for it;
    // if none waits, the place is one of kHttpReserveMax for probes. `is_proxy`: it speaks for
    // many, so no bound of one address applies. The place must not outlive this object.
    [[nodiscard]] std::unique_ptr<Place> admit(const std::string& peer, bool is_proxy);
    // For those that come from now on.
    void set_per_address_max(std::size_t per_address_max) { per_address_max_ = per_address_max; }
    // False: no connection waits.
    bool close_longest_idle();

    [[nodiscard]] std::size_t open() const { return open_; }
    [[nodiscard]] std::size_t busy() const { return busy_.size(); }
    // Those whose first request has not begun.
    [[nodiscard]] std::size_t fresh() const { return fresh_; }
    // Of bodies and answers.
    [[nodiscard]] std::size_t bytes_held() const { return bodies_.bytes + answers_.bytes; }
    [[nodiscard]] std::uint64_t refused() const { return refused_; }
    [[nodiscard]] std::uint64_t closed_idle() const { return closed_idle_; }

private:
    using Amounts = std::unordered_map<std::string, std::size_t>;  // By limit_group().
    struct Budget {
        const std::size_t bytes_max;
        const std::size_t bytes_per_address_max;
        std::size_t bytes = 0;
        Amounts by_address = {};
    };

    std::size_t per_address_max_;
    Amounts connections_of_;
    Budget bodies_{limits::kHttpBodiesHeldBytesMax, limits::kHttpBodiesHeldPerAddressBytesMax};
    Budget answers_{limits::kHttpAnswersHeldBytesMax, limits::kHttpAnswersHeldPerAddressBytesMax};
    std::list<Place*> idle_;  // The longest first.
    std::list<Place*> busy_;
    std::size_t open_ = 0;
    std::size_t in_reserve_ = 0;
    std::size_t fresh_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t closed_idle_ = 0;
};

// What one connection has of the whole; given back when it goes. Idle at first.
class Connections::Place {
public:
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // How the connection is closed while it waits.
    void on_close(std::function<void()> close) { close_ = std::move(close); }
    void begin_request();
    void end_request();
    // One answer to a probe is all this place is for.
    [[nodiscard]] bool is_reserve() const { return reserve_; }

private:
    friend class Connections;
    Place(Connections& owner, std::string group, bool reserve);
    void end_fresh();

    Connections& owner_;
    Amounts::iterator of_address_;
    const bool reserve_;
    std::function<void()> close_;
    bool busy_ = false;
    bool fresh_ = true;
    std::list<Place*>::iterator where_;  // In the owner's list.
};

// Bytes of one body or one answer that wait in memory for a peer. The first kHttpBytesFree cost
// nothing, so that small requests go on whatever others hold.
class Connections::Held {
public:
    enum class Kind { kBody, kAnswer };
    // Whose they are: the client as trusted proxies name it, or the peer. `is_proxy`: it speaks for
    // many, so only the bound of all together applies.
    struct Holder {
        const std::string& address;  // Outlives the Held.
        bool is_proxy = false;
    };

    Held(Connections& owner, Kind kind, const Holder& holder)
        : budget_(kind == Kind::kBody ? owner.bodies_ : owner.answers_), holder_(holder) {}
    ~Held() { give_back(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    // False: more than the address, or all together, may hold; nothing was added.
    [[nodiscard]] bool add(std::size_t bytes);
    // Past every bound: for what must not be dropped any more.
    void add_anyway(std::size_t bytes);
    // All of it, before the end.
    void give_back();
    // False: the address has its whole share, or all together have theirs if it is a proxy's.
    [[nodiscard]] bool share_has_room() const;

private:
    [[nodiscard]] std::size_t cost_of(std::size_t bytes) const;
    [[nodiscard]] std::size_t held_by_address() const;

    Budget& budget_;
    const Holder holder_;
    std::size_t bytes_ = 0;
    std::size_t counted_ = 0;
};

}  // namespace export_worker::http_shim
