// COPY, which moves many rows at once: pieces of the protocol's stream, not statements.
#include <poll.h>
#include <libpq-fe.h>

#include <chrono>
#include <memory>

#include "daemon/postgres/connection.hpp"

namespace export_worker::postgres {
namespace {

using std::chrono::milliseconds;

SteadyTime after(milliseconds patience) {
    return std::chrono::steady_clock::now() + patience;
}

}  // namespace

Result<void> Connection::begin_copy(const std::string& sql, milliseconds patience) {
    sqlstate_.clear();
    if (lost_ || PQsendQuery(connection_, sql.c_str()) == 0)
        return fail(lost(PQerrorMessage(connection_)));
    EW_CHECK(wait_for_answer(after(patience)));
    const std::unique_ptr<pg_result, void (*)(pg_result*)> begun(PQgetResult(connection_), PQclear);
    const ExecStatusType status = PQresultStatus(begun.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) return {};
    Error error = error_of(begun.get());
    // Nothing but the end of the answer follows.
    EW_CHECK(wait_for_answer(after(patience)));
    const std::unique_ptr<pg_result, void (*)(pg_result*)> end(PQgetResult(connection_), PQclear);
    if (end != nullptr) return fail(lost("an answer that is not known"));
    return fail(std::move(error));
}

Result<void> Connection::put(const std::function<int()>& put, SteadyTime until) {
    for (;;) {
        const int sent = put();
        if (sent > 0) return {};
        if (sent < 0 || PQflush(connection_) < 0) return fail(lost(PQerrorMessage(connection_)));
        EW_CHECK(wait_for_socket(true, until));
        // The server may say meanwhile that it has given up.
        if (PQconsumeInput(connection_) == 0) return fail(lost(PQerrorMessage(connection_)));
    }
}

Result<void> Connection::send_pieces(const NextPiece& next, milliseconds patience) {
    for (;;) {
        EW_TRY(const std::string_view piece, next());
        if (piece.empty()) return {};
        const auto send = [&] {
            return PQputCopyData(connection_, piece.data(), static_cast<int>(piece.size()));
        };
        EW_CHECK(put(send, after(patience)));
        // libpq keeps what the server has not taken: without a wait here, that is all of it.
        while (const int left = PQflush(connection_)) {
            if (left < 0) return fail(lost(PQerrorMessage(connection_)));
            EW_CHECK(wait_for_socket(true, after(patience)));
            if (PQconsumeInput(connection_) == 0) return fail(lost(PQerrorMessage(connection_)));
        }
    }
}

Result<std::int64_t> Connection::copy_in(const std::string& sql, const NextPiece& next,
                                         milliseconds patience) {
    EW_CHECK(begin_copy(sql, patience));
    auto sent = send_pieces(next, patience);
    if (lost_) return fail(std::move(sent.error()));
    const char* const given_up = sent ? nullptr : "the client has given up";
    EW_CHECK(put([&] { return PQputCopyEnd(connection_, given_up); }, after(patience)));
    const auto ended = answer(1, patience);
    if (!sent) return fail(std::move(sent.error()));
    if (!ended) return fail(ended.error());
    return ended->changed();
}

Result<std::int64_t> Connection::copy_out(const std::string& sql, const TakePiece& take,
                                          milliseconds patience) {
    EW_CHECK(begin_copy(sql, patience));
    for (;;) {
        char* piece = nullptr;
        const int bytes = PQgetCopyData(connection_, &piece, 1);
        const std::unique_ptr<char, void (*)(void*)> freed(piece, &PQfreemem);
        if (bytes == -1) break;
        if (bytes < -1) return fail(lost(PQerrorMessage(connection_)));
        if (bytes == 0) {
            EW_CHECK(wait_for_socket(false, after(patience)));
            if (PQconsumeInput(connection_) == 0) return fail(lost(PQerrorMessage(connection_)));
            continue;
        }
        if (auto taken = take({piece, static_cast<std::size_t>(bytes)}); !taken) {
            (void)lost("its rows were given up");
            return fail(std::move(taken.error()));
        }
    }
    EW_TRY(const Rows ended, answer(1, patience));
    return ended.changed();
}

}  // namespace export_worker::postgres
