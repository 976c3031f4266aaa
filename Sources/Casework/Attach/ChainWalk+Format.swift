internal import DiskFormats

extension ChainWalk {
    /// The format of the image itself as far as it is stated: the pinned chain's comes first, and
    /// nothing may say otherwise.
    func topFormat(
        _ file: Files.File,
        stated format: ImageFormat?
    ) throws(AttachError) -> ImageFormat? {
        guard let pinned else { return format }
        guard let top = pinned.layers.first else {
            throw AttachError(.usage, file.path, "no layer is stated for it")
        }
        guard let format, format != top.format else { return top.format }
        throw AttachError(
            .usage,
            file.path,
            "the running domain has it as \(top.format.rawValue); leave out "
                + "--format \(format.rawValue)"
        )
    }

    /// The format of the image itself where the caller did not say it: from `disk.info` beside it,
    /// or else from its first bytes where those leave no doubt.
    func topFormat(
        _ file: OpenFile,
        _ warnings: inout [String]
    ) throws(AttachError) -> ImageFormat {
        if let format = try formatFromDiskInfo(file) { return format }
        let signature: ImageSignature?
        do throws(DiskError) {
            signature = try ImageSignature(reading: file.source)
        } catch {
            throw AttachError(error, in: file.path)
        }
        guard let signature else { return .raw }
        guard signature.format == "qcow2" else {
            throw AttachError(
                .refused,
                file.path,
                "begins like a \(signature.format) image, which is not read here; if the guest's "
                    + "disk itself begins like that, give --format raw"
            )
        }
        do throws(DiskError) {
            _ = try QCOW2Header(reading: file.source)
        } catch {
            if error.reason == .unsupported || error.reason == .refused {
                throw AttachError(error, in: file.path)
            }
            throw AttachError(
                .refused,
                file.path,
                "begins like a qcow2 image, but its header is not valid (\(error)); say which it "
                    + "is with --format qcow2 or --format raw"
            )
        }
        warnings.append(
            "\(file.path): read as qcow2 because it begins with a valid qcow2 header; "
                + "if it is a raw disk, give --format raw"
        )
        return .qcow2
    }

    private func formatFromDiskInfo(_ file: OpenFile) throws(AttachError) -> ImageFormat? {
        // Where the image really lies comes first: a link to it changes nothing about it.
        var path = file.realPath.directoryPrefix + "disk.info"
        var content = try files.content(of: path)
        if content == nil {
            path = file.path.directoryPrefix + "disk.info"
            content = try files.content(of: path)
        }
        guard let text = content else { return nil }
        let info: DiskInfo
        do throws(DiskInfo.ParseError) {
            info = try DiskInfo(text)
        } catch {
            throw AttachError(
                .refused,
                path,
                "is not an object of paths and formats (byte \(error.offset): expected "
                    + "\(error.expected)); give --format"
            )
        }
        let whole = info.formats(of: file.realPath)
        let stated = Set(whole.isEmpty ? info.formats(of: file.path) : whole)
        guard let text = stated.first else { return nil }
        guard stated.count == 1, let format = ImageFormat(rawValue: text) else {
            let list = stated.sorted().joined(separator: ", ")
            throw AttachError(
                .refused,
                path,
                "states \(list) for \(file.path), where one of raw and qcow2 is needed; "
                    + "give --format"
            )
        }
        return format
    }
}
