#!/usr/bin/env bash
# A Ceph RGW of one node on 127.0.0.1, from the Ceph of DIR/ceph, which may be a link to /.
#   rgw.sh fetch DIR                unpacks Debian's packages, those that are not installed, into DIR/ceph
#   rgw.sh up DIR memstore PORT
#   rgw.sh down DIR
# The credentials are testaccesskey and testsecretkey. Days of life-cycle rules last 10 seconds.
set -euo pipefail
command=$1 data=$2/data root=$2/ceph
if [ "$command" = fetch ]; then
  mkdir -p "$root" "$2/packages"
  wanted=$(apt-get install --simulate --no-install-recommends ceph-mon ceph-osd radosgw | awk '/^Inst/ { print $2 }')
  # shellcheck disable=SC2086  one word a package
  (cd "$2/packages" && apt-get download -qq $wanted)
  for package in "$2"/packages/*.deb; do dpkg -x "$package" "$root"; done
  rm -r "$2/packages"
  exit 0
fi
if [ "$command" = down ]; then
  for file in rgw run/osd.0 run/mon.a; do
    [ -e "$data/$file.pid" ] || continue
    pid=$(cat "$data/$file.pid")
    kill "$pid" 2>/dev/null || continue
    timeout 10 tail --pid "$pid" -f /dev/null || kill -9 "$pid" || true
  done
  exit 0
fi
store=$3 port=$4 lib=$root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$lib:$lib/ceph:$root/lib/x86_64-linux-gnu CEPH_CONF=$data/ceph.conf
export PATH=$root/usr/bin:$PATH PYTHONPATH=$root/usr/lib/python3/dist-packages
mkdir -p "$data"/{mon,osd,rgw,run,log}
fsid=$(cat /proc/sys/kernel/random/uuid) osd=$(cat /proc/sys/kernel/random/uuid)
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon_host = v2:127.0.0.1:3300
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_objectstore = $store
memstore_device_bytes = 4294967296
run_dir = $data/run
log_file = $data/log/\$name.log
admin_socket = $data/run/\$name.asok
pid_file = $data/run/\$name.pid
erasure_code_dir = $lib/ceph/erasure-code
plugin_dir = $lib/ceph
osd_class_dir = $lib/rados-classes
mon_data_avail_warn = 1
mon_data_avail_crit = 1
keyring = $data/keyring
[mon.a]
mon_data = $data/mon
[osd.0]
osd_data = $data/osd
[client.rgw]
rgw_data = $data/rgw
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_dns_name = localhost
rgw_lc_debug_interval = 10
CONF
ceph-authtool --create-keyring --gen-key --name=mon. "$data/keyring" --cap mon 'allow *'
ceph-authtool --gen-key --name=client.admin --cap mon 'allow *' --cap osd 'allow *' "$data/keyring"
ceph-authtool --gen-key --name=client.rgw --cap mon 'allow rw' --cap osd 'allow rwx' "$data/keyring"
ceph-authtool --gen-key --name=osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' "$data/keyring"
monmaptool --create --addv a '[v2:127.0.0.1:3300]' --fsid "$fsid" "$data/monmap"
ceph-mon -i a --mkfs --monmap "$data/monmap" --keyring "$data/keyring"
ceph-mon -i a
ceph-osd -i 0 --mkfs --osd-uuid "$osd" --no-mon-config
python3 "$root/usr/bin/ceph" osd new "$osd" 0
ceph-osd -i 0
python3 "$root/usr/bin/ceph" osd crush add osd.0 1.0 root=default host=localhost || true
until python3 "$root/usr/bin/ceph" osd stat | grep -q '1 up'; do sleep 0.5; done
radosgw -n client.rgw -f >/dev/null 2>&1 </dev/null &
echo $! >"$data/rgw.pid"
until curl -s -m 2 -o /dev/null "http://127.0.0.1:$port/"; do sleep 0.5; done
radosgw-admin user create --uid=test --display-name=test --access-key=testaccesskey --secret=testsecretkey
