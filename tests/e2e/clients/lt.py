"""libtorrent on a leash: one JSON command a line on standard input, one JSON answer a line on standard output.

Started with one JSON document as the only argument: libtorrent's settings, put over ours.
"""

import base64
import json
import sys

import libtorrent as lt

SETTINGS = {
    "user_agent": "libtorrent (e2e)",
    "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "out_enc_policy": int(lt.enc_policy.pe_disabled),
    "allow_multiple_connections_per_ip": True,
    "min_reconnect_time": 1,
    "peer_connect_timeout": 5,
    "min_announce_interval": 1,
    "tracker_backoff": 10,
}


def name_of(hashes):
    """The info-hash by which the tests know a torrent: version 1's if it has that, as btd does."""
    return str(hashes.v1) if hashes.has_v1() else str(hashes.v2)[:40]


class Leash:
    def __init__(self, settings):
        self.session = lt.session({**SETTINGS, **settings})
        self.torrents = {}

    def add(self, torrent, dir, seed=False):
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(lt.bdecode(base64.b64decode(torrent)))
        params.save_path = dir
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        if seed:
            params.flags |= lt.torrent_flags.seed_mode
        handle = self.session.add_torrent(params)
        self.torrents[name_of(params.ti.info_hashes())] = handle

    def magnet(self, uri, dir):
        params = lt.parse_magnet_uri(uri)
        params.save_path = dir
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        handle = self.session.add_torrent(params)
        self.torrents[str(handle.info_hash())] = handle

    def connect(self, id, host, port):
        self.torrents[id].connect_peer((host, port))

    def announce(self, id):
        self.torrents[id].force_reannounce()

    def recheck(self, id):
        self.torrents[id].force_recheck()

    def remove(self, id):
        self.session.remove_torrent(self.torrents.pop(id))

    def status(self, id):
        status = self.torrents[id].status()
        return {
            "state": str(status.state),
            "progress": status.progress,
            "seeding": status.is_seeding,
            "uploaded": status.total_payload_upload,
            "downloaded": status.total_payload_download,
            "redundant": status.total_redundant_bytes,
            "failed": status.total_failed_bytes,
            "peers": status.num_peers,
            "error": status.errc.message() if status.errc.value() else "",
        }


def main():
    leash = Leash(json.loads(sys.argv[1]))
    for line in sys.stdin:
        call = json.loads(line)
        method = call.pop("method")
        try:
            answer = {"ok": getattr(leash, method)(**call)}
        except Exception as error:  # the test is told, whatever it was
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
        for alert in leash.session.pop_alerts():
            print(alert.message(), file=sys.stderr, flush=True)


main()
