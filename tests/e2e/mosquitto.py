# SPDX-License-Identifier: MIT
"""A real MQTT broker on loopback."""
import shutil
import socket
import subprocess

from harness import PATIENCE, Skip, free_port, wait_until


class Broker:
    """A mosquitto with settings of its own. stop() and start() again take the same port."""

    def __init__(self, t, name, *settings):
        for tool in ("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd"):
            if find(tool) is None:
                raise Skip(f"no {tool}")
        self.port = free_port()
        self.config, self.log = t.path(name + ".conf"), t.path(name + ".log")
        with open(self.config, "w") as f:
            f.write("\n".join([f"listener {self.port} 127.0.0.1", *settings, ""]))
        self.start()

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([find("mosquitto"), "-c", self.config], stdout=log,
                                            stderr=log)
        wait_until("a broker that listens", self.listens)

    def listens(self):
        if self.process.poll() is not None:
            with open(self.log) as log:
                raise RuntimeError("the broker ended: " + log.read())
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait(PATIENCE)

    def publish(self, topic, payload, *args):
        subprocess.run([find("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(self.port), "-t", topic,
                        "-s", *args],
                       input=payload, check=True, timeout=PATIENCE)


def find(tool):
    """Debian keeps the broker where only root looks."""
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin")
