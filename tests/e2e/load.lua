-- SPDX-License-Identifier: GPL-3.0-or-later
-- What wrk counted, one figure a line, for lib-service.sh. wrk's own "Non-2xx" counts the same status errors; its end
-- closes connections in the middle of answers without counting them.
-- Each connection pauses $LOAD_PAUSE milliseconds between its requests, where a server must not be kept from all else.
local pause = tonumber(os.getenv("LOAD_PAUSE") or "")
if pause then
	function delay()
		return pause
	end
end

function done(summary, latency, requests)
	local e = summary.errors
	io.write(string.format("requests %d\n", summary.requests))
	io.write(string.format("failures %d\n", e.connect + e.read + e.write + e.status + e.timeout))
	io.write(string.format("connect %d read %d write %d status %d timeout %d\n", e.connect, e.read, e.write, e.status, e.timeout))
end
