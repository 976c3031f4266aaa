internal import ArchiveFile
internal import Compression
internal import Digests
internal import DiskFormats
internal import JSON
internal import Linux

extension BagSource {
    /// The document `source.json` (docs/evidence.md).
    func document(_ context: BagContext) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", "glovebox.source/1")
            json.member("target", base64: "target_base64", host: target)
            json.member(orNull: "instance", instance)
            json.member(orNull: "reason", context.authority?.reason ?? context.reason)
            json.member("host", context.host)
            json.member("consistency", consistency.rawValue)
            json.key("engine")
            json.array { json in
                for volume in opened {
                    json.object { json in
                        json.member("volume", base64: "volume_base64", host: volume.name)
                        json.member("reader", volume.reader?.rawValue ?? "")
                    }
                }
            }
            json.member("program", context.program)
            Self.writeLibraries(to: &json)
            json.key("disks")
            json.array { json in for disk in disks { write(disk, context.authority, to: &json) } }
        }
        json.endLine()
        return json.bytes
    }

    private static func writeLibraries(to json: inout JSONText) {
        let (zlib, zstd) = SystemDecompressor.versions
        let libraries = [
            ("libarchive", ArchiveEncoder.libraryVersion), ("nettle", SHA256.libraryVersion),
            ("zlib", zlib), ("zstd", zstd),
        ]
        json.key("libraries")
        json.array { json in
            for (name, version) in libraries {
                json.object { json in
                    json.member("name", name)
                    json.member("version", version)
                }
            }
        }
    }

    private func write(_ disk: Disk, _ authority: BagAuthority?, to json: inout JSONText) {
        json.object { json in
            json.member("name", base64: "name_base64", host: disk.name)
            json.member("size", disk.size)
            json.key("layers")
            json.array { json in
                for layer in disk.layers {
                    Self.write(layer, authority?.layers[layer.identity], to: &json)
                }
            }
            json.member("table", disk.table.kind.rawValue)
            json.key("partitions")
            json.array { json in
                for partition in disk.table.partitions { Self.write(partition, to: &json) }
            }
            json.key("volumes")
            json.array { json in
                let within = inner.filter { $0.name.hasPrefix(disk.name + ":") }
                for volume in disk.volumes + within { Self.write(volume, to: &json) }
            }
        }
    }

    private static func write(_ layer: Layer, _ digest: Digest?, to json: inout JSONText) {
        json.object { json in
            json.member("path", base64: "path_base64", host: layer.path)
            json.member("format", layer.format.rawValue)
            json.member("virtual_size", layer.virtualSize)
            json.member("size", layer.size)
            json.member("mtime_ns", Int(layer.modifiedNanoseconds))
            json.member("device", layer.identity.device)
            json.member("inode", layer.identity.inode)
            if let digest { json.member("sha256", "\(digest)") }
        }
    }

    private static func write(_ partition: Partition, to json: inout JSONText) {
        json.object { json in
            json.member("number", partition.number)
            json.member("start", partition.start)
            json.member("size", partition.byteCount)
            json.member("type", partition.type)
            json.member("name", base64: "name_base64", partition.name)
            json.member("uuid", partition.uuid)
        }
    }

    private static func write(_ volume: Volume, to json: inout JSONText) {
        json.object { json in
            json.member("name", base64: "name_base64", host: volume.name)
            json.member("size", volume.size)
            json.member("type", volume.type)
            json.member("label", base64: "label_base64", volume.label)
            json.member("uuid", volume.uuid)
            json.member(plain: "journal", volume.journal?.word ?? "unknown")
        }
    }
}
