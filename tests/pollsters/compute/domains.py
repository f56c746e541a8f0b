"""Domain definitions, as nova of several ages and as others write them."""

from __future__ import annotations

UUIDS = {
    "new": "11111111-1111-4111-8111-111111111111",
    "old": "22222222-2222-4222-8222-222222222222",
    "foreign": "33333333-3333-4333-8333-333333333333",
    "malformed": "44444444-4444-4444-8444-444444444444",
    "off": "55555555-5555-4555-8555-555555555555",
    "paused": "66666666-6666-4666-8666-666666666666",
}

NOVA_1_1 = """
<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
  <nova:package version="31.0.0"/>
  <nova:name>web &amp; mail</nova:name>
  <nova:creationTime>2026-01-01 00:00:00</nova:creationTime>
  <nova:flavor name="m1.small" id="42">
    <nova:memory>2048</nova:memory><nova:disk>30</nova:disk><nova:swap>512</nova:swap>
    <nova:ephemeral>10</nova:ephemeral><nova:vcpus>2</nova:vcpus>
    <nova:extraSpecs><nova:extraSpec name="hw_rng:allowed">true</nova:extraSpec></nova:extraSpecs>
  </nova:flavor>
  <nova:image uuid="image-1">
    <nova:containerFormat>bare</nova:containerFormat><nova:diskFormat>qcow2</nova:diskFormat>
    <nova:minDisk>1</nova:minDisk><nova:minRam>0</nova:minRam>
    <nova:properties><nova:property name="hw_machine_type">pc</nova:property></nova:properties>
  </nova:image>
  <nova:owner>
    <nova:user uuid="user-1">demo</nova:user><nova:project uuid="project-1">demo</nova:project>
  </nova:owner>
  <nova:root type="image" uuid="image-1"/>
</nova:instance>"""

NOVA_1_0 = """
<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.0">
  <nova:package version="13.0.0"/>
  <nova:name>old</nova:name>
  <nova:flavor name="m1.tiny">
    <nova:memory>512</nova:memory><nova:disk>1</nova:disk><nova:swap>0</nova:swap>
    <nova:ephemeral>0</nova:ephemeral><nova:vcpus>1</nova:vcpus>
  </nova:flavor>
  <nova:owner>
    <nova:user uuid="user-2">demo</nova:user><nova:project uuid="project-2">demo</nova:project>
  </nova:owner>
</nova:instance>"""

MALFORMED = """
<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
  <nova:name>  </nova:name>
  <nova:flavor name="">
    <nova:memory>much</nova:memory><nova:disk>-1</nova:disk><nova:ephemeral/>
    <nova:vcpus>1e3</nova:vcpus><nova:extraSpecs><nova:extraSpec>nameless</nova:extraSpec></nova:extraSpecs>
  </nova:flavor>
  <nova:owner><nova:user>no uuid</nova:user></nova:owner>
  <nova:root/>
</nova:instance>"""

DISK = """
<disk type='file' device='disk'><source file='/disks/1'/><target dev='vda' bus='virtio'/></disk>"""
EMPTY_CDROM = """
<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>"""
NIC = """
<interface type='bridge'>
  <mac address='fa:16:3e:11:22:33'/><source bridge='br-int'/><target dev='tap-{name}'/>
  <virtualport type='openvswitch'><parameters interfaceid='e9a2b3d0-6e0a-4f0e-9a55-000000000001'/></virtualport>
</interface>"""
# The test driver gives a name to an interface that has none, so this one is for the parser only.
NAMELESS_NIC = "<interface type='hostdev'><mac address='fa:16:3e:11:22:44'/></interface>"
FILTERED_NIC = """
<interface type='bridge'>
  <mac address='fa:16:3e:11:22:55'/><source bridge='br0'/><target dev='tap-filtered'/>
  <filterref filter='nova-instance-1'><parameter name='IP' value='10.0.0.2'/></filterref>
</interface>"""


def domain(name: str, metadata: str = "", devices: str = "", state: int = 1) -> str:
    """One domain for the test driver, in this state (libvirt's number)."""
    return f"""
<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>{name}</name><uuid>{UUIDS[name]}</uuid><metadata>{metadata}</metadata>
  <memory unit='KiB'>2097152</memory><currentMemory unit='KiB'>1048576</currentMemory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{devices}</devices>
  <test:runstate>{state}</test:runstate>
</domain>"""


def node() -> str:
    """A host of the test driver with one domain of each sort."""
    return f"""<node>
{domain("new", NOVA_1_1, DISK + EMPTY_CDROM + NIC.format(name="new"))}
{domain("old", NOVA_1_0, DISK)}
{domain("foreign")}
{domain("malformed", MALFORMED, DISK)}
{domain("off", NOVA_1_1, DISK, state=5)}
{domain("paused", NOVA_1_0, state=3)}
</node>"""
