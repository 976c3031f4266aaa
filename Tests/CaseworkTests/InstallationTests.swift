import Casework
import Testing

@Suite struct InstallationTests {
    @Test(arguments: [
        ("/usr/bin/glovebox", "/usr", "/etc/glovebox/policy.json", "/var/lib/glovebox"),
        (
            "/usr/local/bin/glovebox", "/usr/local", "/usr/local/etc/glovebox/policy.json",
            "/var/lib/glovebox"
        ),
        (
            "/opt/case/bin/other", "/opt/case", "/opt/case/etc/glovebox/policy.json",
            "/opt/case/var/lib/glovebox"
        ),
        ("/srv/build/release/glovebox", "/usr", "/etc/glovebox/policy.json", "/var/lib/glovebox"),
        ("/bin/glovebox", "/usr", "/etc/glovebox/policy.json", "/var/lib/glovebox"),
    ])
    func theProgramsPlaceDecides(program: String, prefix: String, policy: String, state: String) {
        let installation = Installation(program: program)
        #expect(installation.prefix == prefix)
        #expect(installation.policyPath == policy)
        #expect(installation.systemStateDirectory == state)
    }

    @Test func whoIsNotRootKeepsStateAtHome() {
        let installation = Installation(program: "/usr/bin/glovebox")
        #expect(installation.stateDirectory(chosen: "/x", userID: 0, home: "/root") == "/x")
        #expect(
            installation.stateDirectory(chosen: nil, userID: 0, home: "/root")
                == "/var/lib/glovebox"
        )
        #expect(
            installation.stateDirectory(chosen: nil, userID: 1000, home: "/home/a")
                == "/home/a/.local/state/glovebox"
        )
        #expect(installation.stateDirectory(chosen: nil, userID: 1000, home: nil) == nil)
    }
}
