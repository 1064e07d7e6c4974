// Open connections: how many there are, whose they are, which of them only wait, and what they hold
// in memory. The trouble of one address is nobody else's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

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
    // False: no connection waits.
    bool close_longest_idle();

    [[nodiscard]] std::size_t open() const { return open_; }
    [[nodiscard]] std::size_t busy() const { return busy_.size(); }
    [[nodiscard]] std::size_t bytes_held() const { return bytes_held_; }
    [[nodiscard]] std::uint64_t refused() const { return refused_; }
    [[nodiscard]] std::uint64_t closed_idle() const { return closed_idle_; }

private:
    struct Group {
        std::size_t connections = 0;
        std::size_t bytes_held = 0;
    };

    const std::size_t per_address_max_;
    std::unordered_map<std::string, Group> groups_;  // By limit_group().
    std::list<Place*> idle_;                         // The longest first.
    std::list<Place*> busy_;
    std::size_t open_ = 0;
    std::size_t in_reserve_ = 0;
    std::size_t bytes_held_ = 0;
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
    Place(Connections& owner, std::string group, bool is_proxy, bool reserve);

    Connections& owner_;
    std::unordered_map<std::string, Group>::iterator group_;
    const bool is_proxy_;
    const bool reserve_;
    std::function<void()> close_;
    bool busy_ = false;
    std::list<Place*>::iterator where_;  // In the owner's list.
};

// Bytes of a request or an answer that wait in memory for a peer. The first kHttpBytesFree cost
// nothing, so that small requests go on whatever others hold.
class Connections::Held {
public:
    explicit Held(Place& place) : place_(place) {}
    ~Held();
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    // False: more than the address, or all together, may hold; nothing was added.
    [[nodiscard]] bool add(std::size_t bytes);

private:
    Place& place_;
    std::size_t bytes_ = 0;
    std::size_t counted_ = 0;
};

}  // namespace export_worker::http_shim
