internal import CGuestfs
