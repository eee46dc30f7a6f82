# Servers, each on loopback ports of its own, with a folder and a configuration of its own. start_SERVER DIR sets rtmp
# (base of its RTMP URLs), http (base of its HTTP-FLV URLs, empty when it has none) and server_port.
# shellcheck shell=bash

start_node_media_server_4() {
  local dir=$1 http_port
  server_port=$(free_port) http_port=$(free_port)
  cat > "$dir/server.json" <<EOF
{ "bind": "127.0.0.1", "rtmp": { "port": $server_port }, "http": { "port": $http_port },
  "notify": { "url": "" }, "auth": { "play": false, "publish": false, "secret": "interop" },
  "store": { "path": "$dir/store" }, "record": { "path": "$dir/record" } }
EOF
  rtmp=rtmp://127.0.0.1:$server_port/live http=http://127.0.0.1:$http_port/live
  start "$dir/server.log" node "$peers/node-media-server-4/node_modules/node-media-server/bin/app.js" \
    -c "$dir/server.json" --no-admin
  await_listener "$server_port" && await_listener "$http_port"
}

start_node_media_server_2() {
  local dir=$1
  unshare -n sh -c 'ip link set lo up && exec sleep "$0"' "$row_seconds" &
  pids+=($!)
  net=(nsenter "--net=/proc/$!/ns/net")
  local tries=0
  until "${net[@]}" ip -br link show up 2>/dev/null | grep -q '^lo'; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || return 1
    sleep 0.1
  done
  server_port=1935 rtmp=rtmp://127.0.0.1:1935/live http=http://127.0.0.1:8000/live
  start "$dir/server.log" node "$peers/node-media-server-2/node_modules/node-media-server/bin/app.js"
  await_listener 1935 && await_listener 8000
}

start_nginx_rtmp() {
  local dir=$1
  server_port=$(free_port) rtmp=rtmp://127.0.0.1:$server_port/live http=""
  cat > "$dir/nginx.conf" <<EOF
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
events {}
rtmp { server { listen 127.0.0.1:$server_port; application live { live on; } } }
EOF
  start "$dir/server.log" /usr/sbin/nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/nginx.log"
  await_listener "$server_port"
}
