"""The supervisor's side of every connection."""

from __future__ import annotations

import os
import socket
import struct
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ..container.backend import ExecSpec
from ..container.demand import Demand
from ..container.spec import ContainerSpec
from ..errors import LxContainerError, SupervisorError
from . import control, protocol
from .keeping import Keeping
from .life import KILL_GRACE, Life
from .loop import Loop, until_gone, wait
from .pool import Pool
from .protocol import Message
from .run import Run
from .sampling import Sampling
from .shares import Shares
from .snapshots import Snapshots
from .spares import Spares
from .start import start
from .work import mount

_CREDENTIALS = struct.Struct("3i")

_STAYS = "stays"
"""What who asks for the end is told where the supervisor goes on with what stays."""

_LINGER, _LOOKS = 2.0, 4
"""Seconds that a run without an owner stays when nothing is left in it, and looks at that meanwhile."""

_ANY_TIME = frozenset({"status", "logs", "stats", "usage", "release", "destroy"})
"""What need not wait for a container that somebody holds."""


class Server:
    """Answers clients until the run's owner ends, or asks for the end; where it has none, until nothing is left.

    Containers that stay (`Keeping`) put the end off until they are gone.
    """

    def __init__(self, run: Run, loop: Loop, listener: socket.socket, owner_pidfd: int | None) -> None:
        self._run = run
        self._shares = Shares(run)
        self._snapshots = Snapshots(run)
        self._spares = Spares(run, self._snapshots, loop)
        self._pool = Pool(self._spares, loop)
        self._keeping = Keeping(run, loop)
        self._sampling = Sampling(run, loop)
        self._loop = loop
        self._listener = listener
        self._owner_pidfd = owner_pidfd
        self._guarded: set[int] = set()
        self._ending = self._closing = False
        self._conversations = 0
        self._farewells: list[socket.socket] = []
        self._handlers: Mapping[str, Callable[[_Call], Awaitable[Any]]] = {
            "create": self._create,
            "take": self._take,
            "share": self._share,
            "settle": self._settle,
            "release": self._release,
            "start": self._start,
            "status": self._status,
            "signal": self._signal,
            "stop": self._stop,
            "destroy": self._destroy,
            "freeze": self._freeze,
            "exec": self._exec,
            "attach": self._attach,
            "close_stdin": self._close_stdin,
            "logs": self._logs,
            "stats": self._stats,
            "usage": self._usage,
            "begin_sampling": self._begin_sampling,
            "samples": self._samples,
            "follow": self._follow,
            "work": self._work,
            "mount": self._mount,
            "names": self._names,
            "tools": self._tools,
            "control": self._control,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "diff": self._diff,
            "changes": self._changes,
            "stay": self._stay,
            "keep": self._keep,
            "list": self._list,
        }

    def serve(self) -> None:
        """Run until the end, with everything of the run removed."""
        self._loop.spawn(self._accept())
        self._loop.spawn(self._watch_owner() if self._owner_pidfd is not None else self._watch_use())
        self._loop.spawn(self._run.get_ready())
        self._loop.run()
        self._snapshots.close()
        self._run.close()
        self._listener.close()
        for connection in self._farewells:
            with suppress(ConnectionError):
                protocol.send(connection, {"ok": None})
            connection.close()

    async def _accept(self) -> None:
        while True:
            await wait([self._listener.fileno()])
            connection, _ = self._listener.accept()
            pid, uid, _ = _CREDENTIALS.unpack(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            # An abstract socket has no permissions of its own: anyone on the host may connect.
            if uid not in (os.geteuid(), 0) or self._closing:
                connection.close()
                continue
            self._loop.spawn(self._converse(connection, pid))
            if pid not in self._guarded:
                self._guarded.add(pid)
                self._loop.spawn(self._guard(pid))

    async def _watch_owner(self) -> None:
        assert self._owner_pidfd is not None  # else `_watch_use` is called
        await wait([self._owner_pidfd])
        await self._end()

    async def _watch_use(self) -> None:
        """End when nothing is left and nobody has asked for anything lately."""
        unused = 0
        while unused < _LOOKS:
            await wait([], _LINGER / _LOOKS)
            unused = unused + 1 if self._run.empty and not self._conversations else 0
        await self._end()

    async def _end(self) -> None:
        """Destroy every container but those that stay, and stop when all are gone; waits for the first part of that."""
        if self._ending:
            return
        self._ending = True
        self._pool.close()
        self._spares.close()
        for life in [each for each in self._run.lives.values() if not each.record.stays]:
            self._run.destroy(life.name)
        deadline = time.monotonic() + 3 * KILL_GRACE
        while not (self._run.empty or self._keeping.any) and time.monotonic() < deadline:
            await wait([], 0.002)
        if self._keeping.any:
            self._loop.spawn(self._end_later())
        else:
            self._leave()

    async def _end_later(self) -> None:
        await self._keeping.until_none()
        self._leave()

    def _leave(self) -> None:
        self._closing = True
        self._loop.stop()

    async def _guard(self, pid: int) -> None:
        """When a client process has ended, destroy what it left: a crashed worker's containers."""
        await until_gone(pid)
        self._guarded.discard(pid)
        self._run.destroy_of(pid)
        self._shares.leave(pid)
        self._pool.leave(pid)

    async def _converse(self, connection: socket.socket, pid: int) -> None:
        self._conversations += 1
        try:
            while True:
                await wait([connection.fileno()])
                message, fds = protocol.receive(connection)
                if message["do"] == "shutdown":
                    await self._shut_down(connection)
                    return
                try:
                    await self._answer(_Call(connection, pid, message, fds))
                finally:
                    for fd in fds:
                        os.close(fd)
        except ConnectionError:
            pass
        finally:
            self._conversations -= 1
            if connection not in self._farewells:
                connection.close()

    async def _shut_down(self, connection: socket.socket) -> None:
        """End, and say so when all is gone; at once, where containers stay."""
        self._farewells.append(connection)
        await self._end()
        if not self._closing:
            self._farewells.remove(connection)
            protocol.send(connection, {"ok": _STAYS})

    async def _answer(self, call: _Call) -> None:
        try:
            handler = self._handlers.get(call.message["do"])
            if handler is None:
                raise SupervisorError(f"the supervisor knows no operation {call.message['do']!r}")
            await self._turn_of(call)
            value = await handler(call)
        except ConnectionError:
            raise
        except Exception as error:
            if not isinstance(error, LxContainerError):
                traceback.print_exc()
            protocol.send(call.connection, {"error": protocol.describe(error)})
        else:
            try:
                protocol.send(call.connection, {"ok": value}, call.reply_fds)
            finally:
                for fd in call.reply_fds:
                    os.close(fd)

    async def _turn_of(self, call: _Call) -> None:
        """Let a snapshot that is being made come first: its container stands still, and would keep us waiting."""
        life = self._run.lives.get(call.message.get("name", ""))
        if life is not None and call.message["do"] not in _ANY_TIME:
            await life.freezing.until_let_go()

    async def _create(self, call: _Call) -> Any:
        life = self._run.create(ContainerSpec.from_dict(call.message["spec"]), call.pid)
        return asdict(life.status())

    async def _take(self, call: _Call) -> Any:
        spec = ContainerSpec.from_dict(call.message["spec"])
        demand = Demand.from_dict(call.message["demand"])
        clone = None
        if self._spares.suits(spec):
            clone = await self._pool.take(spec, demand, call.pid, call.connection.fileno())
        if clone is None:
            life = self._run.create(spec, call.pid)
            return {"status": asdict(life.status()), "is_ready": False}
        await self._spares.hand_over(clone, spec.group, call.pid)
        return {"status": asdict(clone.status()), "is_ready": demand.preparation.conditions is not None}

    async def _share(self, call: _Call) -> Any:
        spec = ContainerSpec.from_dict(call.message["spec"])
        life, is_first = await self._shares.join(spec, call.pid, call.connection.fileno(), call.message["timeout"])
        return {"status": asdict(life.status()), "is_first": is_first}

    async def _settle(self, call: _Call) -> Any:
        self._shares.settle(call.message["name"], call.message["error"])

    async def _release(self, call: _Call) -> Any:
        remains = self._remains(call)
        self._shares.release(call.message["name"], call.pid)
        return remains

    async def _start(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        if size := call.message["size"]:
            life.terminal_size = tuple(size)
        await start(self._run, life, self._loop, call.message["timeout"])
        self._sampling.note(life)
        return asdict(life.status())

    async def _status(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        life.notice_end()
        return asdict(life.status())

    async def _signal(self, call: _Call) -> Any:
        self._run.life(call.message["name"]).signal(call.message["signal"])

    async def _stop(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        self._sampling.note(life, last=True)
        await life.stop(call.message["timeout"])
        return asdict(life.status())

    async def _destroy(self, call: _Call) -> Any:
        remains = self._remains(call)
        self._run.destroy(call.message["name"])
        return remains

    def _remains(self, call: _Call) -> Any:
        """How a container is now, and its log to be read when it is gone."""
        life = self._run.lives.get(call.message["name"])
        if life is None:
            return None
        life.notice_end()
        self._sampling.note(life, last=True)
        call.reply_fds = [self._log_of(life)]
        return {"status": asdict(life.status()), "usage": asdict(life.usage())}

    async def _freeze(self, call: _Call) -> Any:
        self._run.life(call.message["name"]).freeze(call.message["frozen"])

    async def _exec(self, call: _Call) -> Any:
        """Start a command, say so, and answer again when it has ended; killed if its client hangs up or asks."""
        message = call.message
        spec = ExecSpec(
            args=tuple(message["args"]),
            env=tuple((key, value) for key, value in message["env"]),
            cwd=message["cwd"],
            uid=message["uid"],
            gid=message["gid"],
            groups=tuple(message["groups"]),
            tty=message["tty"],
        )
        life = self._run.life(message["name"])
        spent = life.running().spent
        pid = await life.exec(spec, call.fds)
        pidfd = os.pidfd_open(pid)
        while call.fds:
            os.close(call.fds.pop())
        try:
            protocol.send(call.connection, {"ok": {"pid": pid}})
            ready = await wait([pidfd, call.connection.fileno()])
            if pidfd not in ready:
                await life.kill_exec(pid)
                await wait([pidfd])
                protocol.receive(call.connection)  # "kill", or the ConnectionError of who hung up
        except ConnectionError:
            await life.kill_exec(pid)
            await wait([pidfd])
            raise
        finally:
            os.close(pidfd)
            _, status, usage = os.wait4(pid, 0)
            spent.add(usage)
        return {"exit_code": os.waitstatus_to_exitcode(status)}

    async def _attach(self, call: _Call) -> Any:
        boot = self._run.life(call.message["name"]).boot
        if boot is not None and boot.input is not None:
            call.reply_fds = [os.dup(boot.input)]

    async def _close_stdin(self, call: _Call) -> Any:
        boot = self._run.life(call.message["name"]).boot
        if boot is not None:
            boot.close_input()

    async def _logs(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        call.reply_fds = [self._log_of(life)]
        return {"offset": life.console.offset(call.message["since"])}

    @staticmethod
    def _log_of(life: Life) -> int:
        """What has been written until now, to read."""
        if life.boot is not None:
            life.console.drain(life.boot.output, life.boot.terminal)
        return life.console.open()

    async def _stats(self, call: _Call) -> Any:
        return self._run.life(call.message["name"]).stats()

    async def _usage(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        life.notice_end()
        return asdict(life.usage())

    async def _begin_sampling(self, call: _Call) -> Any:
        self._sampling.begin()

    async def _samples(self, call: _Call) -> Any:
        return self._sampling.to_plain()

    async def _follow(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        bell = life.console.follow()
        if life.boot is None:
            life.console.hang_up()
        call.reply_fds = [life.console.open(), bell.detach()]
        offset = life.console.offset(call.message["since"])
        return {"offset": max(offset, life.console.begin if call.message["this_start"] else 0)}

    async def _work(self, call: _Call) -> Any:
        task = call.message["task"]
        life = self._run.life(call.message["name"])
        if task["do"] in ("unmount", "terminal"):
            life.running()
        call.reply_fds = [(await life.works.begin(self._loop, life, task)).detach()]

    async def _mount(self, call: _Call) -> Any:
        message = call.message
        life = self._run.life(message["name"])
        await mount(life, message["source"], message["path"], message["read_only"])

    async def _control(self, call: _Call) -> Any:
        message = call.message
        life = self._run.life(message["name"])
        return await control.perform(life, message["what"], message["arguments"])

    async def _names(self, call: _Call) -> Any:
        return self._run.table()

    async def _tools(self, call: _Call) -> Any:
        return asdict(self._run.tools())

    async def _snapshot(self, call: _Call) -> Any:
        return await self._snapshots.seal(self._run.life(call.message["name"]), call.message["directory"])

    async def _restore(self, call: _Call) -> Any:
        life = self._run.life(call.message["name"])
        await self._snapshots.restore(life, call.message["lower_dirs"])
        return asdict(life.status())

    async def _stay(self, call: _Call) -> Any:
        message = call.message
        self._keeping.let_stay(self._run.life(message["name"]), message["note"], message["is_removed"])

    async def _keep(self, call: _Call) -> Any:
        message = call.message
        life = self._run.life(message["name"])
        self._shares.forget(life.name)
        self._keeping.keep(life, message["note"], message["test"])

    async def _list(self, call: _Call) -> Any:
        return self._keeping.list()

    async def _diff(self, call: _Call) -> Any:
        return await self._snapshots.differences(self._run.life(call.message["name"]), call.message["since"])

    async def _changes(self, call: _Call) -> Any:
        message = call.message
        return await self._snapshots.changes(self._run.life(message["name"]), message["since"], message["bounds"])


class _Call:
    """One request: who asks what, on which connection; *reply_fds* travel with the answer."""

    __slots__ = ("connection", "fds", "message", "pid", "reply_fds")

    def __init__(self, connection: socket.socket, pid: int, message: Message, fds: list[int]) -> None:
        self.connection = connection
        self.pid = pid
        self.message = message
        self.fds = fds
        self.reply_fds: list[int] = []
