// ArchiveFile
